"""The tensorrt backend around its instances: files, versions, packages, devices. Nothing of NVIDIA's runs."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_batch import FakeBatch
from fake_tensorrt import FakeCuda
from tensorrt_models import X, Y, configured, double_engine

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.tensorrt import backend as backend_module
from naiad.backends.tensorrt import libraries
from naiad.backends.tensorrt.backend import TensorRtBackend
from naiad.backends.tensorrt.failures import CudaError, no_gpu, said_by
from naiad.backends.tensorrt.plan_file import Maker, maker_of, version_mismatch
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import BackendError, ConfigError, InvalidArgument, Unsupported

NO_DRIVER = CudaError(
    "cudaGetDeviceCount",
    "cudaErrorInsufficientDriver",
    "CUDA driver version is insufficient for CUDA runtime version",
)


def write_plan(path: Path, magic: bytes = b"ftrt", version: bytes = bytes([10, 13, 3, 9])) -> None:
    path.write_bytes(magic + bytes(20) + version + bytes(40))


class FakeBackend(TensorRtBackend):
    """Loads ``double_engine`` from every file."""

    def __init__(self, options: dict[str, str] | None = None) -> None:
        super().__init__(options or {})
        self.cuda = FakeCuda()
        self.loaded: list[tuple[str, int | None]] = []

    def _device(self, model: str, device: int) -> Any:
        self.cuda.make_current()
        return self.cuda

    def _load(self, path: Path, model: str, dla_core: int | None) -> Any:
        self.loaded.append((path.name, dla_core))
        return double_engine(self.cuda)

    def _require_gpu(self, model: str) -> None:
        if "gpu" in self.cuda.fails:
            raise no_gpu(model, self.cuda.fails["gpu"])


@pytest.fixture
def files(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> ModelFiles:
    """With an engine, and the packages."""
    write_plan(files.version_directory / "model.plan")
    for module in (libraries, backend_module):
        monkeypatch.setattr(module, "find_module", lambda product="": "tensorrt")
    monkeypatch.setattr(libraries, "_has_cuda", lambda: True)
    return files


def place(config: ModelConfig, device: int = 0) -> InstancePlace:
    return InstancePlace(config.instance_groups[0].instance_names[0], "GPU", device)


def test_an_instance_runs(files: ModelFiles) -> None:
    backend, config = FakeBackend(), configured()
    backend.check(config, files)
    instance = backend.make_instance(config, files, place(config))
    batch = FakeBatch({"X": ("FP32", np.ones((1, 4), np.float32))}, ["Y"])
    instance.execute_batch(batch)  # type: ignore[arg-type]
    assert batch.outputs["Y"].tolist() == [[2] * 4]
    instance.finalize()
    assert backend.cuda.is_empty


def test_instances_of_one_process_and_gpu_share_the_engine(files: ModelFiles) -> None:
    backend, config = FakeBackend(), configured()
    made = [backend.make_instance(config, files, place(config, gpu)) for gpu in (0, 0, 1)]
    assert len(backend.loaded) == 2
    for instance in made:
        instance.finalize()
    del instance, made
    gc.collect()  # the fake knows its contexts, and they it
    assert len(backend._engines) == 0


def test_a_file_of_the_gpu_s_own_capability(files: ModelFiles) -> None:
    write_plan(files.version_directory / "ada.plan")
    names = 'cc_model_filenames { key: "8.9" value: "ada.plan" } '
    backend, config = FakeBackend(), configured(X + Y + names)
    for capability in ("8.9", "8.6"):
        backend.cuda.capability = capability
        backend.make_instance(config, files, place(config)).finalize()
    assert backend.loaded == [("ada.plan", None), ("model.plan", None)]
    outside = configured(X + Y + names.replace("ada", "../ada"))
    with pytest.raises(InvalidArgument, match="outside of the model repository"):
        backend.check(outside, files)


def test_an_accelerator_beside_the_gpu(files: ModelFiles) -> None:
    backend = FakeBackend()
    device = "secondary_devices { kind: KIND_NVDLA device_id: 1 } "
    config = configured(group=device)
    backend.make_instance(config, files, place(config)).finalize()
    assert backend.loaded == [("model.plan", 1)]
    with pytest.raises(ConfigError, match="either zero or one secondary devices"):
        backend.check(configured(group=device * 2), files)


def test_only_on_gpus(files: ModelFiles) -> None:
    backend = FakeBackend()
    message = configured().copy_proto()
    message.instance_group[0].kind = message.instance_group[0].KIND_CPU
    config = ModelConfig(message)
    with pytest.raises(ConfigError, match="supports only GPU device, but instance group 'm_0' is KIND_CPU"):
        backend.check(config, files)
    backend.cuda.fails["gpu"] = NO_DRIVER
    with pytest.raises(Unsupported, match="needs an NVIDIA GPU and its driver.*CUDA driver version is insuf"):
        backend.check(config, files)


def test_what_is_left_out_is_completed_in_the_engine_s_process(files: ModelFiles) -> None:
    backend = FakeBackend({"isolation": "thread"})
    message = parse_pbtxt('name: "m" backend: "tensorrt" platform: "tensorrt_plan"')
    completed = backend.auto_complete(ModelConfig(message), files)
    assert (completed.max_batch_size, completed.inputs[0].name) == (8, "X")
    assert backend.loaded == [("model.plan", None)]
    assert backend.auto_complete(configured(), files).dynamic_batching is not None
    assert len(backend.loaded) == 1


def test_files_that_are_no_engines(files: ModelFiles) -> None:
    path = files.version_directory / "model.plan"
    for content in (b"", b"ftrt", b"\x08\x07\x12" + bytes(80)):
        path.write_bytes(content)
        with pytest.raises(InvalidArgument, match="model 'm': 'model.plan' is no engine of TensorRT"):
            FakeBackend().check(configured(), files)
    path.unlink()
    with pytest.raises(InvalidArgument, match="there is no file 'm/1/model.plan'"):
        FakeBackend().check(configured(), files)


def test_an_engine_of_the_other_product(files: ModelFiles) -> None:
    write_plan(files.version_directory / "model.plan", b"vtrt", bytes([1, 7, 1, 116]))
    with pytest.raises(Unsupported) as raised:
        FakeBackend().check(configured(), files)
    assert str(raised.value) == (
        "model 'm': 'model.plan' was made by TensorRT for RTX 1.7.1.116, which the installed TensorRT does "
        "not read: rebuild it with the installed one, or install tensorrt-rtx-cu13 in its place"
    )


@pytest.mark.parametrize(
    ("made_by", "installed", "differ"),
    [
        ((10, 13, 3, 9), (10, 13, 3, 9), False),
        ((10, 13, 3, 9), (10, 13, 3), False),
        ((10, 13, 3, 9), (10, 13, 3, 265), False),
        ((10, 13, 3, 9), (10, 14, 1, 48), True),
        ((), (10, 14, 1, 48), True),
    ],
)
def test_versions_are_named(made_by: Any, installed: Any, differ: bool) -> None:
    maker, found = Maker("TensorRT", made_by), Maker("TensorRT", installed)
    error = version_mismatch(maker, found, Path("model.plan"), "m", "not compatible")
    assert (error is not None) == differ
    if error is not None:
        first = "10.13.3.9" if made_by else "8.5 or older"
        assert f"'model.plan' was made by TensorRT {first}, but TensorRT 10.14.1.48 is installed" in str(
            error
        )
        assert "rebuild it" in str(error)


def test_a_plan_says_who_made_it(files: ModelFiles) -> None:
    path = files.version_directory / "model.plan"
    assert maker_of(path, "m") == Maker("TensorRT", (10, 13, 3, 9))
    write_plan(path, b"ptrt")
    assert maker_of(path, "m") == Maker("TensorRT", ())


def test_packages_that_are_not_there(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_has_cuda", lambda: False)
    monkeypatch.setattr(libraries, "find_module", lambda product="": "tensorrt_rtx")
    with pytest.raises(Unsupported, match=r"needs cuda-bindings: pip install 'naiad\[tensorrt-rtx\]'"):
        FakeBackend().check(configured(), files)
    monkeypatch.setattr(libraries, "find_module", lambda product="": None)
    with pytest.raises(Unsupported, match=r"needs the tensorrt package: pip install 'naiad\[tensorrt\]'"):
        FakeBackend().check(configured(), files)


def test_each_file_gets_the_tensorrt_that_has_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there: set[str] = {"tensorrt", "tensorrt_rtx"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in there else None)
    assert libraries.find_module() == libraries.find_module("TensorRT") == "tensorrt"
    assert libraries.find_module("TensorRT for RTX") == "tensorrt_rtx"
    there.remove("tensorrt")
    assert libraries.find_module() == libraries.find_module("TensorRT") == "tensorrt_rtx"
    there.clear()
    assert libraries.find_module() is None


def test_what_is_installed() -> None:
    module = ModuleType("tensorrt_rtx")
    module.__dict__["__version__"] = "1.7.1.116"
    assert libraries.installed(module) == Maker("TensorRT for RTX", (1, 7, 1, 116))
    assert str(libraries.installed(module)) == "TensorRT for RTX 1.7.1.116"


def test_a_package_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(Unsupported, match="the installed tensorrt can not be imported"):
        libraries.load_module("tensorrt")


def test_decoupled_models_are_refused(files: ModelFiles) -> None:
    with pytest.raises(Unsupported, match="one response per request"):
        FakeBackend().check(configured(X + Y + "model_transaction_policy { decoupled: true }"), files)


def test_what_tensorrt_says_is_for_clients_without_its_sources() -> None:
    said = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (plan.header.size == blobSize "
    text = (
        f"[checkMacros.cpp::catch::250] {said}failed. In parsePlan at /_src/runtime/dispatch/runtime.cpp:780)"
    )
    assert said_by(text) == said + "failed."


def test_other_failures_of_cuda_stay_what_they_are() -> None:
    assert isinstance(no_gpu("m", NO_DRIVER), Unsupported)
    broken = CudaError("cudaFree", "cudaErrorIllegalAddress", "an illegal memory access was encountered")
    assert no_gpu("m", broken) is broken and broken.is_lasting and not NO_DRIVER.is_lasting


class Runtime(SimpleNamespace):
    """Of a TensorRT that loads nothing."""

    num_DLA_cores = 1
    said: str = ""
    logger: Any = None

    def deserialize_cuda_engine(self, content: Any) -> None:
        assert bytes(content[:4]) == b"ftrt"
        self.logger.log(SimpleNamespace(name="ERROR"), self.said)


@pytest.fixture
def library() -> Callable[..., Any]:
    """A ``Library`` over a module that is a fake."""

    def make(version: str, said: str, **options: Any) -> Any:
        from naiad.backends.tensorrt.options import ServerWideOptions
        from naiad.backends.tensorrt.runtime import Library

        module: Any = ModuleType("tensorrt")
        module.__version__ = version
        module.ILogger = type("ILogger", (), {})
        module.init_libnvinfer_plugins = lambda logger, namespace: True
        module.runtimes = []

        def runtime(logger: Any) -> Any:
            module.runtimes.append(Runtime(logger=logger, said=said))
            return module.runtimes[-1]

        module.Runtime = runtime
        return Library(module, ServerWideOptions(**options))

    return make


def test_why_an_engine_is_refused(files: ModelFiles, library: Any) -> None:
    path = files.version_directory / "model.plan"
    said = (
        "Error Code 6: API Usage Error (The engine plan file is not compatible with this version of TensorRT)"
    )
    with pytest.raises(
        Unsupported, match=r"was made by TensorRT 10.13.3.9, but TensorRT 10.16.1.11 is insta"
    ):
        library("10.16.1.11", said).load(path, "m", None)
    with pytest.raises(
        BackendError, match="'model.plan' can not be loaded: TensorRT: Error Code 2: no memory"
    ):
        library("10.13.3.9", "Error Code 2: no memory").load(path, "m", None)


def test_accelerators_and_engines_that_bring_code(files: ModelFiles, library: Any) -> None:
    path = files.version_directory / "model.plan"
    made = library("10.13.3.9", "", version_compatible=True)
    with pytest.raises(Unsupported, match="DLA Core ID: 1, available number of DLA cores: 1"):
        made.load(path, "m", 1)
    with pytest.raises(BackendError, match="no reason is given"):
        made.load(path, "m", 0)
    runtime = made.module.runtimes[-1]
    assert (runtime.DLA_core, runtime.engine_host_code_allowed) == (0, True)
