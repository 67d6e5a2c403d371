"""The openvino backend with small models, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_batch import FakeBatch
from onnx import TensorProto, helper, save

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.openvino.backend import OpenVinoBackend
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import BackendError, ConfigError, InvalidArgument, Unsupported

openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install 'naiad[openvino]'")

X = 'input { name: "X" data_type: TYPE_FP32 dims: [ 4 ] }\n'
Y = 'output { name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CPU = InstancePlace("m_0", "CPU", 0)


def write_double(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT) -> None:
    """Y = X + X, as ONNX or as OpenVINO's own two files."""
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name in "XY")
    graph = helper.make_graph([helper.make_node("Add", ["X", "X"], ["Y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, path.with_suffix(".onnx"))
    if path.suffix == ".xml":
        openvino.save_model(openvino.Core().read_model(str(path.with_suffix(".onnx"))), str(path))
        path.with_suffix(".onnx").unlink()


def configured(text: str = X + Y, *, batch: int = 4, **parameters: str) -> ModelConfig:
    lines = [f'name: "m" backend: "openvino" max_batch_size: {batch}', text]
    lines += [f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}' for k, v in parameters.items()]
    return ModelConfig(parse_pbtxt("\n".join(lines)))


def made(config: ModelConfig, files: ModelFiles) -> Any:
    backend = OpenVinoBackend({})
    backend.check(config, files)
    return backend.make_instance(config, files, CPU)


def rows(count: int) -> np.ndarray[Any, Any]:
    return np.arange(count * 4, dtype=np.float32).reshape(count, 4)


def run(instance: Any, x: Any, datatype: str = "FP32") -> Any:
    batch = FakeBatch({"X": (datatype, x)}, ["Y"], num_rows=x.shape[0] if x.ndim else 1)
    instance.execute_batch(batch)
    return batch.outputs["Y"]


@pytest.mark.parametrize("filename", ["model.xml", "model.onnx"])
def test_batches_of_any_size(filename: str, files: ModelFiles) -> None:
    write_double(files.version_directory / filename, ["N", 4])
    instance = made(configured(X + Y + f'default_model_filename: "{filename}"'), files)
    for count in (1, 3, 2):
        assert run(instance, rows(count)).tolist() == (rows(count) * 2).tolist()
    instance.finalize()


def test_a_batch_dimension_that_the_file_fixes_is_made_free(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", [1, 4])
    instance = made(configured(), files)
    assert run(instance, rows(3)).tolist() == (rows(3) * 2).tolist()
    instance.finalize()


def test_or_stays_fixed(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", [4, 4])
    instance = made(configured(SKIP_OV_DYNAMIC_BATCHSIZE="YES"), files)
    assert run(instance, rows(4)).tolist() == (rows(4) * 2).tolist()
    with pytest.raises(InvalidArgument, match="batches of 4 rows alone, got 3"):
        run(instance, rows(3))
    instance.finalize()
    instance = made(configured(SKIP_OV_DYNAMIC_BATCHSIZE="YES", ENABLE_BATCH_PADDING="YES"), files)
    assert run(instance, rows(3)).tolist() == (rows(3) * 2).tolist()
    instance.finalize()
    with pytest.raises(ConfigError, match=r"max_batch_size \(2\), but 'X' has shape \[4, 4\]"):
        made(configured(batch=2, SKIP_OV_DYNAMIC_BATCHSIZE="YES"), files)


def test_the_inputs_take_the_dims_of_the_configuration(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", [1, 4])
    text = X.replace("[ 4 ]", "[ -1, -1 ]") + Y.replace("[ 4 ]", "[ -1, -1 ]")
    instance = made(configured(text, batch=0, RESHAPE_IO_LAYERS="yes"), files)
    assert run(instance, np.ones((3, 7), np.float32)).tolist() == [[2] * 7] * 3
    instance.finalize()


def test_bf16_and_scalars(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.onnx", [2], TensorProto.BFLOAT16)
    text = (X + Y).replace("FP32", "BF16").replace("[ 4 ]", "[ 2 ]") + 'default_model_filename: "model.onnx"'
    instance = made(configured(text, batch=0), files)
    assert run(instance, np.full(2, 0x3F80, np.uint16), "BF16").tolist() == [0x4000] * 2
    instance.finalize()
    write_double(files.version_directory / "model.onnx", [])
    instance = made(configured(text.replace("BF16", "FP32").replace("[ 2 ]", "[ 1 ]"), batch=0), files)
    assert run(instance, np.array([4], np.float32)).tolist() == [8]
    instance.finalize()


def test_a_file_completes_its_configuration(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", ["N", 4])
    completed = OpenVinoBackend({}).auto_complete(configured("", batch=0), files)
    assert completed.max_batch_size == 4
    assert [(t.name, t.data_type, t.dims) for t in completed.inputs] == [("X", "TYPE_FP32", (4,))]
    write_double(files.version_directory / "model.xml", [2, 4])
    completed = OpenVinoBackend({}).auto_complete(configured("", batch=0), files)
    assert (completed.max_batch_size, completed.outputs[0].dims) == (0, (2, 4))
    completed = OpenVinoBackend({}).auto_complete(configured("", batch=8), files)
    assert (completed.max_batch_size, completed.outputs[0].dims) == (8, (4,))


def test_instances_share_what_is_compiled(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", ["N", 4])
    backend, config = OpenVinoBackend({}), configured()
    first, second = (backend.make_instance(config, files, CPU) for _ in range(2))
    assert len(backend._shared) == 1 and first._owner is second._owner
    for instance in (first, second):
        assert run(instance, rows(1)).tolist() == (rows(1) * 2).tolist()
        instance.finalize()
    assert not backend._shared


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (X.replace('"X"', '"Q"') + Y, "there is no input 'Q' in the file; there are: X"),
        (X + Y.replace("FP32", "INT8"), "output 'Y' is INT8 in the configuration, but FP32 in the file"),
        (X.replace("[ 4 ]", "[ 5 ]") + Y, r"shape \[-1, 5\] in the configuration, but \[-1, 4\] in the file"),
        (Y, "no input is given for X"),
    ],
)
def test_what_contradicts_the_file_is_refused(text: str, message: str, files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", ["N", 4])
    with pytest.raises(ConfigError, match=message):
        made(configured(text), files)


def test_devices_that_are_not_there(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", ["N", 4])
    with pytest.raises(Unsupported, match="TARGET_DEVICE 'NPU' is not there; there are: CPU"):
        made(configured(TARGET_DEVICE="NPU"), files)


def test_files_that_are_none_of_openvino(files: ModelFiles) -> None:
    (files.version_directory / "model.xml").write_text("<net>")
    with pytest.raises(BackendError, match="OpenVINO: ") as raised:
        made(configured(), files)
    assert str(files.root) not in str(raised.value)
    (files.version_directory / "model.xml").unlink()
    with pytest.raises(InvalidArgument, match="there is no file 'm/1/model.xml'"):
        made(configured(), files)


def test_a_failure_is_the_batch_s_error(files: ModelFiles) -> None:
    write_double(files.version_directory / "model.xml", ["N", 4])
    instance = made(configured(), files)
    with pytest.raises(BackendError, match="for model 'm', message: "):
        run(instance, np.ones((1, 5), np.float32))
    assert run(instance, rows(1)).tolist() == (rows(1) * 2).tolist()
    instance.finalize()


def test_openvino_that_is_not_there(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"needs openvino: pip install 'naiad\[openvino\]'"):
        OpenVinoBackend({}).check(configured(), files)
