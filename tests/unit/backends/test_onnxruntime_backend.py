"""The onnxruntime backend's Python side: finding the library, completing configurations, options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from naiad.backends.base import ModelFiles
from naiad.backends.onnxruntime import OnnxRuntimeBackend, find_library
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import ConfigError, Unsupported


class FakeLibrary:
    """What the core's OnnxRuntime answers."""

    def __init__(
        self, inputs: list[tuple[str, str, list[int]]], outputs: list[tuple[str, str, list[int]]]
    ) -> None:
        self._read = {"inputs": inputs, "outputs": outputs}
        self.options: Mapping[str, str] | None = None

    def metadata(self, model_path: str) -> dict[str, Any]:
        assert Path(model_path).name == "model.onnx"
        return {
            kind: [{"name": name, "datatype": datatype, "dims": dims} for name, datatype, dims in tensors]
            for kind, tensors in self._read.items()
        }

    version = "1.32.0"
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def factory(self, model_path: str, options: Mapping[str, str], providers: Any = ()) -> str:
        self.options = options
        self.asked_providers = providers
        return model_path


def backend(library: FakeLibrary, **options: str) -> OnnxRuntimeBackend:
    made = OnnxRuntimeBackend({key.replace("_", "-"): value for key, value in options.items()})
    made._runtime = library  # type: ignore[assignment]
    return made


@pytest.fixture
def onnx_files(files: ModelFiles) -> ModelFiles:
    (files.version_directory / "model.onnx").write_bytes(b"")
    return files


def test_the_library_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from naiad.backends.onnxruntime import find_library; p = find_library(); "
        "print(p.name); assert 'onnxruntime' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("libonnxruntime.so.1.")


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(Unsupported, match="pip install onnxruntime"):
        find_library(["naiad-surely-absent"])


def test_inputs_outputs_and_batching_come_from_the_model(onnx_files: ModelFiles) -> None:
    library = FakeLibrary([("ids", "INT64", [-1, -1])], [("y", "FP32", [-1, 384]), ("s", "BYTES", [-1, 1])])
    completed = backend(library).auto_complete(ModelConfig(parse_pbtxt('name: "m"')), onnx_files)
    assert completed.max_batch_size == 4
    assert completed.dynamic_batching is not None
    assert [(t.name, t.data_type, t.dims) for t in completed.inputs] == [("ids", "TYPE_INT64", (-1,))]
    assert [(t.name, t.data_type, t.dims) for t in completed.outputs] == [
        ("y", "TYPE_FP32", (384,)),
        ("s", "TYPE_STRING", (1,)),
    ]


def test_a_fixed_first_dimension_does_not_batch(onnx_files: ModelFiles) -> None:
    library = FakeLibrary([("x", "FP32", [1, 3])], [("y", "FP32", [-1, 3])])
    completed = backend(library).auto_complete(ModelConfig(parse_pbtxt('name: "m"')), onnx_files)
    assert completed.max_batch_size == 0
    assert completed.inputs[0].dims == (1, 3)
    assert completed.dynamic_batching is None


@pytest.mark.parametrize(("given", "batch", "dynamic"), [("0", 0, False), ("1", 1, False), ("32", 32, True)])
def test_the_default_batch_size_is_an_option(
    onnx_files: ModelFiles, given: str, batch: int, dynamic: bool
) -> None:
    library = FakeLibrary([("x", "FP32", [-1, 3])], [("y", "FP32", [-1, 3])])
    made = backend(library, default_max_batch_size=given)
    completed = made.auto_complete(ModelConfig(parse_pbtxt('name: "m"')), onnx_files)
    assert completed.max_batch_size == batch
    assert (completed.dynamic_batching is not None) == dynamic


def test_a_default_batch_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="default-max-batch-size"):
        OnnxRuntimeBackend({"default-max-batch-size": "-1"})


def test_options_come_from_the_server_then_the_model(onnx_files: ModelFiles) -> None:
    library = FakeLibrary([], [])
    made = backend(library)
    made.options.update({"intra_op_thread_count": "4", "execution_mode": "0"})
    config = ModelConfig(
        parse_pbtxt(
            'name: "m" optimization { graph { level: 1 } } '
            'parameters { key: "intra_op_thread_count" value { string_value: "1" } } '
            'parameters { key: "color" value { string_value: "teal" } }'
        )
    )
    assert made.factory(config, onnx_files) == str(onnx_files.version_directory / "model.onnx")
    assert library.options == {
        "intra_op_thread_count": "1",
        "execution_mode": "0",
        "optimization.graph.level": "1",
    }


def _with_parameters(**parameters: str) -> ModelConfig:
    lines = ['name: "m"'] + [
        f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}' for k, v in parameters.items()
    ]
    return ModelConfig(parse_pbtxt("\n".join(lines)))


def test_entries_of_the_library_are_handed_on_if_it_knows_them(onnx_files: ModelFiles) -> None:
    library = FakeLibrary([], [])
    known = {"session.intra_op.allow_spinning": "0", "session.use_device_allocator_for_initializers": "1"}
    backend(library).factory(_with_parameters(**known), onnx_files)
    assert library.options == known
    unknown = {"session.intra_op.allow_spining": "0"}
    with pytest.raises(
        ConfigError, match=r"ONNX Runtime 1\.32\.0 knows no parameter session\.intra_op\.allow_sp"
    ):
        backend(library).factory(_with_parameters(**unknown), onnx_files)


def test_threads_that_all_models_share(onnx_files: ModelFiles) -> None:
    library = FakeLibrary([], [])
    made = OnnxRuntimeBackend({"enable-global-threadpool": "1", "intra_op_thread_count": "3"})
    made._runtime = library  # type: ignore[assignment]
    assert made._global_threads == (3, 0)
    made.factory(_with_parameters(), onnx_files)
    assert library.options == {"global-threads": "1"}
    with pytest.raises(
        ConfigError, match="intra_op_thread_count has no effect while all models share threads"
    ):
        made.factory(_with_parameters(intra_op_thread_count="2"), onnx_files)
    for options in (
        {"enable-global-threadpool": "yes"},
        {"enable-global-threadpool": "1", "inter_op_thread_count": "x"},
    ):
        with pytest.raises(ConfigError, match="backend-config"):
            OnnxRuntimeBackend(options)


def test_gpus_need_a_library_that_was_built_for_them() -> None:
    library = FakeLibrary([], [])
    assert not backend(library).runs_on_gpu()
    library.providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert backend(library).runs_on_gpu()
