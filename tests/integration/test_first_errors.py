"""The errors that newcomers make: each gives one clear sentence, a next step, and an exit status."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from naiad.cli import main

from .conftest import Start, write_model

FREE = ("--http-port=0", "--grpc-port=0", "--metrics-port=0")
HIDES_TORCH = """
import importlib.util

real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else real(name, package)
"""


@dataclass(frozen=True)
class Row:
    """One error: what is typed, and what comes."""

    arguments: tuple[str, ...]
    status: int
    sentence: str
    step: str


ROWS = {
    "nothing": Row((), 2, "nothing is named that should be served", "naiad serve model.onnx"),
    "wrong path": Row(
        ("modle.onnx", *FREE), 2, "no file or folder 'modle.onnx'", "did you mean 'model.onnx'"
    ),
    "wrong repository": Row(("--model-repository=nope", *FREE), 1, "not a directory", "there is no 'nope'"),
    "a file as repository": Row(
        ("--model-repository=model.onnx", *FREE), 1, "not a directory", "naiad serve model.onnx"
    ),
    "empty folder": Row(("hollow", *FREE), 2, "holds no model: it is empty", "put model files into it"),
    "no model file": Row(("notes.txt", *FREE), 2, "'notes.txt' is no model file", "it serves .engine, .onnx"),
    "weights alone": Row(("tensors.safetensors", *FREE), 2, "is no model file", "its config.json"),
    "part of a file": Row(
        ("model.onnx", *FREE), 1, "failed to load all models: model", "export or copy it again"
    ),
    "bad configuration": Row(
        ("--model-repository=bad", *FREE),
        1,
        "m/config.pbtxt:2:1: ",
        "`naiad repo check bad` shows all that is wrong",
    ),
    "missing framework": Row(
        ("--model-repository=torch", *FREE),
        1,
        "the pytorch backend needs torch",
        "pip install 'naiad[torch]'",
    ),
    "port in use": Row(
        ("--model-repository=good", "--http-port=@PORT@", "--grpc-port=0", "--metrics-port=0"),
        1,
        "Address already in use",
        "--http-port=0 for a free one",
    ),
    "metrics port in use": Row(
        ("--model-repository=good", "--metrics-port=@PORT@", "--grpc-port=0", "--http-port=0"),
        1,
        "address already in use",
        "--metrics-port=0 for a free one",
    ),
    "unknown flag": Row(("--htp-port=1",), 2, "No such option: --htp-port", "naiad serve --help"),
    "bad value": Row(("--http-port=abc",), 2, "--http-port", "naiad serve --help"),
    "bad value in a file": Row(("--config=naiad.yaml",), 2, "(from naiad.yaml:2)", "naiad serve --help"),
    "unknown key in a file": Row(
        ("--config=typo.yaml",), 2, "typo.yaml:1: unknown key 'http_port'", "'http-port'"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the rows name."""
    path = tmp_path_factory.mktemp("first")
    (path / "hollow").mkdir()
    for name, text in {
        "model.onnx": "half of it",
        "notes.txt": "notes",
        "tensors.safetensors": "x",
        "naiad.yaml": "id: me\nhttp-port: abc\n",
        "typo.yaml": "http_port: 1\n",
    }.items():
        (path / name).write_text(text)
    write_model(path / "bad", "m", 'backend: "identity"\nnonsense: 1\n')
    tensors = (
        'input { name: "x" data_type: TYPE_FP32 dims: 1 } output { name: "y" data_type: TYPE_FP32 dims: 1 }'
    )
    write_model(path / "torch", "m", f'backend: "pytorch" {tensors}')
    (path / "torch/m/1/model.pt").write_bytes(b"x")
    write_model(path / "good", "m", f'backend: "identity" {tensors}')
    (path / "hiding").mkdir()
    (path / "hiding/sitecustomize.py").write_text(HIDES_TORCH)
    return path


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    folder: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Exit status and what was said. What is refused before a server is built is run in this process."""

    def run_naiad(arguments: tuple[str, ...], *, here: bool, **environment: str) -> tuple[int, str]:
        typed = [argument.replace("@PORT@", str(taken_port)) for argument in arguments]
        if not here:
            ran = subprocess.run(
                [sys.executable, "-m", "naiad", "serve", *typed],
                cwd=folder,
                env=os.environ | environment,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
            return ran.returncode, ran.stderr
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["naiad", "serve", *typed])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return run_naiad


@pytest.mark.parametrize("name", ROWS)
def test_an_error_says_what_is_wrong_and_what_to_do(run: Run, name: str) -> None:
    row = ROWS[name]
    hidden = {"PYTHONPATH": "hiding"} if name == "missing framework" else {}
    status, said = run(row.arguments, here=row.status == 2, **hidden)
    # Log lines write their text as JSON strings.
    said = said.replace('\\"', '"')
    assert status == row.status, said
    assert row.sentence in said and row.step in said, said
    assert "Traceback" not in said


def test_a_terminal_shows_the_same_without_a_log(run: Run) -> None:
    status, said = run((*ROWS["part of a file"].arguments, "--console=table"), here=False)
    assert status == 1
    assert "error: model 'model' can not be served: " in said
    assert " next: the file is no ONNX model, or a part of one: export or copy it again" in said


def test_a_wrong_shape_says_what_was_expected(start_server: Start, folder: Path) -> None:
    server = start_server(folder / "good")
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    status, answer = server.json("POST", "/v2/models/m/infer", {"inputs": [tensor]})
    assert status == 400
    assert re.search(r"'x'.*\[1\].*\[2\]|'x'.*\[2\].*\[1\]", str(answer)), answer
