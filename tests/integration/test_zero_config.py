"""Files and folders are served as they are named, with no configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ..unit.staging.onnx_files import save_matmul
from .conftest import ServerProcess

PYTHON_MODEL = """
import triton_python_backend_utils as pb_utils
from words import WORD


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [1]})
        config.add_output({"name": "y", "data_type": "TYPE_STRING", "dims": [1]})
        config.set_max_batch_size(0)
        return config

    def execute(self, requests):
        import numpy as np

        text = np.array([WORD], dtype=np.object_)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", text)]) for _ in requests]
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """``naiad serve`` with paths; ended by a signal at the end, whereupon nothing is left behind."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    running: list[tuple[ServerProcess, threading.Thread]] = []

    def start(*arguments: str | Path) -> ServerProcess:
        command = [sys.executable, "-m", "naiad", "serve", *map(str, arguments), "--http-address=127.0.0.1"]
        command += ["--http-port=0", "--grpc-port=0", "--metrics-port=0", "--grpc-address=127.0.0.1"]
        environment = os.environ | {"TMPDIR": str(scratch), "COLUMNS": "200"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        server = ServerProcess(process)
        running.append((server, server.follow()))
        assert server.started.wait(60) and len(server.ports) == 3, server.log
        return server

    yield start
    for server, reader in running:
        server.signal()
        assert server.wait() == 0, server.log
        reader.join()
    assert list(scratch.glob("naiad-*")) == []


def infer(server: ServerProcess, model: str, *shape: int) -> object:
    data = [1.0] * int(np.prod(shape))
    tensor = {"name": "x", "datatype": "FP32", "shape": list(shape), "data": data}
    status, answer = server.json("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]})
    assert status == 200 and isinstance(answer, dict), answer
    return answer["outputs"][0]["data"]


def test_files_of_several_kinds_at_once(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    save_matmul(tmp_path / "line.onnx")
    save_matmul(tmp_path / "apart.onnx", external=True)
    (tmp_path / "adder").mkdir()
    (tmp_path / "adder/model.py").write_text(PYTHON_MODEL)
    (tmp_path / "adder/words.py").write_text("WORD = 'beside'\n")
    paths = (tmp_path / "line.onnx", tmp_path / "apart.onnx", tmp_path / "adder")
    server = serve(*paths, "--model-control-mode=explicit", "--load-model=*")
    assert infer(server, "line", 2, 4) == [4.0] * 4
    assert infer(server, "apart", 1, 4) == [4.0] * 2
    assert infer(server, "adder", 1) == ["beside"]
    assert server.json("GET", "/v2/models/line")[0] == 200
    # It is loaded again when the file that was named changes.
    os.utime(tmp_path / "line.onnx", (time.time() + 9, time.time() + 9))
    assert server.json("POST", "/v2/repository/models/line/load", {})[0] == 200
    assert infer(server, "line", 1, 4) == [4.0] * 2


def test_a_folder_of_files(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    save_matmul(folder / "a.onnx")
    save_matmul(folder / "b.onnx", external=True)
    (folder / "README.md").write_text("words")
    server = serve(folder)
    assert infer(server, "a", 1, 4) == infer(server, "b", 1, 4) == [4.0, 4.0]


def test_torch_script(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Double(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * 0 + 2

    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Double()), str(tmp_path / "double.pt"))
    server = serve(tmp_path / "double.pt")
    assert infer(server, "double", 2, 3) == [2.0] * 4


def test_flags_from_a_file_and_the_environment(
    serve: Callable[..., ServerProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_matmul(tmp_path / "line.onnx")
    config = tmp_path / "naiad.yaml"
    config.write_text(f"models: [{tmp_path / 'line.onnx'}]\nid: of the file\nhttp-port: 1\n")
    monkeypatch.setenv("NAIAD_ID", "of the environment")
    server = serve("--config", config)
    status, answer = server.json("GET", "/v2")
    assert status == 200 and isinstance(answer, dict) and answer["name"] == "of the environment"
    assert infer(server, "line", 1, 4) == [4.0, 4.0]
