"""ONNX models with entries of the library's own, shared threads, and accelerators."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument

from .conftest import Start

MODEL = Path(__file__).parents[1] / "cpp" / "backends" / "models" / "simple.onnx"


def written(tmp_path: Path, config: str) -> Path:
    version = tmp_path / "m" / "1"
    version.mkdir(parents=True)
    shutil.copyfile(MODEL, version / "model.onnx")
    (version.parent / "config.pbtxt").write_text('backend: "onnxruntime"\n' + config)
    return tmp_path


def served(tmp_path: Path, config: str) -> naiad.Server:
    return naiad.Server(written(tmp_path, config), pool_bytes=64 << 20)


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


def runs(server: naiad.Server) -> bool:
    one = np.ones((1, 16), np.int32)
    return len(server.model("m").infer({"INPUT0": one, "INPUT1": one})) > 0


def test_session_entries(tmp_path: Path) -> None:
    entries = parameter("session.intra_op.allow_spinning", "0") + parameter(
        "session.set_denormal_as_zero", "1"
    )
    with served(tmp_path, entries + parameter("intra_op_thread_count", "2")) as server:
        assert runs(server)


def test_an_entry_that_the_library_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="knows no parameter session.spinning"):
        served(tmp_path, parameter("session.spinning", "0"))


def test_threads_that_all_models_share(start_server: Start, tmp_path: Path) -> None:
    # The library has one environment in a process, so this takes a process of its own.
    flags = ("enable-global-threadpool=1", "intra_op_thread_count=2")
    server = start_server(written(tmp_path, ""), *(f"--backend-config=onnxruntime,{flag}" for flag in flags))
    assert server.call("GET", "/v2/models/m/ready")[0] == 200


def test_an_accelerator_that_the_library_lacks(tmp_path: Path) -> None:
    accelerator = 'cpu_execution_accelerator { name: "openvino" }'
    config = f"optimization {{ execution_accelerators {{ {accelerator} }} }}"
    try:
        with served(tmp_path, config) as server:
            assert runs(server)
    except InvalidArgument as error:
        assert "has no OpenVINOExecutionProvider; it has" in str(error)
