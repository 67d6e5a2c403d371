"""Engines that TensorRT for RTX has built here: without a GPU such a model fails alone, and says why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.plan_file import maker_of
from naiad.errors import InvalidArgument

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gpu"))
import tensorrt_engines as engines

IDENTITY = 'backend: "identity" max_batch_size: 2\n' + "".join(
    f'{kind} {{ name: "{name}" data_type: TYPE_FP32 dims: [ 2 ] }}\n'
    for kind, name in (("input", "X"), ("output", "Y"))
)
TENSORS = "".join(
    f'{kind} {{ name: "{name}" data_type: TYPE_INT32 dims: [ 16 ] }}\n'
    for kind, names in (("input", ("INPUT0", "INPUT1")), ("output", ("OUTPUT0", "OUTPUT1")))
    for name in names
)
RANGE = ((1, 16), (4, 16), (8, 16))


@pytest.fixture(scope="module")
def plan() -> bytes:
    """simple.onnx: OUTPUT0 is the sum and OUTPUT1 the difference of its inputs."""
    trt = engines.tensorrt_or_skip()
    if not engines.builds_without_gpu():
        pytest.skip("the installed TensorRT builds engines on a GPU only: tests/gpu has its tests")
    return engines.build(trt, "simple", [{"INPUT0": RANGE, "INPUT1": RANGE}])


@pytest.fixture
def repository(plan: bytes, tmp_path: Path) -> Iterator[Path]:
    if engines.has_gpu():
        pytest.skip("there is a GPU: tests/gpu has its tests")
    (tmp_path / "identity" / "1").mkdir(parents=True)
    (tmp_path / "identity" / "config.pbtxt").write_text(IDENTITY)
    yield tmp_path


def test_an_engine_says_who_made_it(plan: bytes, tmp_path: Path) -> None:
    path = engines.write_model(tmp_path, "m", plan, "")
    maker = maker_of(path, "m")
    assert (maker.product, ".".join(map(str, maker.version))) == (
        "TensorRT for RTX",
        engines.tensorrt_or_skip().__version__,
    )


@pytest.mark.parametrize("isolation", ["process", "thread"])
@pytest.mark.parametrize("config", ["", "max_batch_size: 8\n" + TENSORS], ids=["completed", "complete"])
def test_without_a_gpu_the_model_fails_alone(
    isolation: str, config: str, repository: Path, plan: bytes
) -> None:
    parameter = f'parameters {{ key: "isolation" value {{ string_value: "{isolation}" }} }}\n'
    engines.write_model(repository, "engine", plan, config + parameter)
    with naiad.Server(
        repository, pool_bytes=64 << 20, control_mode="explicit", load_models=["identity"]
    ) as server:
        with pytest.raises(InvalidArgument) as raised:
            server.load("engine")
        assert str(raised.value).endswith(
            "model 'engine' needs an NVIDIA GPU and its driver, which TensorRT runs on; CUDA says: CUDA "
            "driver version is insufficient for CUDA runtime version"
        )
        result = server.model("identity").infer({"X": np.ones((1, 2), np.float32)})
    assert result["Y"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("config", "content", "message"),
    [
        ("", b"ftrt" + bytes(20) + bytes([10, 13, 3, 9]) + bytes(64),
         "'model.plan' was made by TensorRT 10.13.3.9, which the installed TensorRT for RTX does not read"),
        ("", b"PK\3\4" + bytes(64), "'model.plan' is no engine of TensorRT"),
        ("instance_group { kind: KIND_GPU }", None, "KIND_GPU but no GPUs are available"),
    ],
)  # fmt: skip
def test_what_can_be_said_without_a_gpu(
    config: str, content: bytes | None, message: str, repository: Path, plan: bytes
) -> None:
    engines.write_model(repository, "engine", content or plan, "max_batch_size: 8\n" + TENSORS + config)
    with (
        naiad.Server(repository, pool_bytes=64 << 20, control_mode="explicit", load_models=[]) as server,
        pytest.raises(InvalidArgument) as raised,
    ):
        server.load("engine")
    assert message in str(raised.value), raised.value


def test_the_calls_of_cuda_take_what_they_are_given(plan: bytes) -> None:
    """Each one comes as far as the driver, which is not there: a wrong argument would be a TypeError."""
    from naiad.backends.tensorrt.cuda import CudaDevice

    if engines.has_gpu():
        pytest.skip("there is a GPU: tests/gpu has its tests")
    device = CudaDevice(0)
    calls: dict[str, tuple[Any, ...]] = {
        "make_current": (),
        "compute_capability": (),
        "make_stream": (1,),
        "wait": (1, 2),
        "allocate": (16,),
        "free": (16,),
        "allocate_pinned": (16,),
        "free_pinned": (16,),
        "copy": (16, 32, 8, 1),
        "launch": (1, 2),
        "destroy_graph": (1,),
        "destroy_event": (1,),
        "destroy_stream": (1,),
        "capture": (1, lambda: True),
    }
    for name, arguments in calls.items():
        with pytest.raises(CudaError, match="CUDA driver version is insufficient"):
            getattr(device, name)(*arguments)
