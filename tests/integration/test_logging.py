"""The logging extension on a live server: every part of it follows the settings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc

from .conftest import ServerProcess, Start, until, write_model

TALKING = """
backend: "python"
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "isolation" value { string_value: "@HOW@" } }
"""

TALKING_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        pb_utils.Logger.log_verbose("a detail")
        pb_utils.Logger.log_info("a fact")
        pb_utils.Logger.log_warn("a warning")
        outputs = [pb_utils.Tensor("Y", request.inputs()[0].as_numpy()) for request in requests]
        return [pb_utils.InferenceResponse([output]) for output in outputs]
"""

REQUEST = {"inputs": [{"name": "X", "shape": [1], "datatype": "INT32", "data": [1]}]}
CHANGES = ("log_info", "log_warning", "log_error", "log_verbose_level", "log_format")


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talking")
    for name in ("thread", "process"):
        write_model(path, name, TALKING.replace("@HOW@", name), TALKING_MODEL)
    return path


@pytest.fixture(scope="module")
def running(start_server: Start, talking: Path) -> ServerProcess:
    return start_server(talking)


@pytest.fixture
def server(running: ServerProcess) -> Iterator[ServerProcess]:
    _, before = running.json("GET", "/v2/logging")
    assert isinstance(before, dict)
    yield running
    running.json("POST", "/v2/logging", {name: before[name] for name in CHANGES})


def said(server: ServerProcess, model: str) -> list[str]:
    """The lines that one request makes its model write; the last line of a worker comes when all have."""
    before = len(server.lines)
    assert server.json("POST", f"/v2/models/{model}/infer", REQUEST)[0] == 200
    until(lambda: any("a warning" in line for line in server.lines[before:]), server.log)
    return [line for line in server.lines[before:] if "model.py" in line]


@pytest.mark.parametrize("model", ["thread", "process"])
def test_lines_of_models_follow(server: ServerProcess, model: str) -> None:
    assert [re.sub(".*] ", "", line) for line in said(server, model)] == ['"a fact"\n', '"a warning"\n']
    status, shown = server.json("POST", "/v2/logging", {"log_verbose_level": 1, "log_format": "ISO8601"})
    assert status == 200 and isinstance(shown, dict)
    assert (shown["log_verbose_level"], shown["log_format"], shown["log_info"]) == (1, "ISO8601", True)
    lines = said(server, model)
    assert len(lines) == 3 and '"a detail"' in lines[0]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [VIW] ", line) for line in lines)
    server.json("POST", "/v2/logging", {"log_verbose_level": 0, "log_info": False})
    assert len(said(server, model)) == 1


def test_both_protocols_show_and_change_the_same(server: ServerProcess) -> None:
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        client.update_log_settings({"log_verbose_level": 2, "log_warning": False, "log_format": "ISO8601"})
        settings = client.get_log_settings(as_json=True)["settings"]
    _, shown = server.json("GET", "/v2/logging")
    assert shown == {
        "log_file": "",
        "log_info": True,
        "log_warning": False,
        "log_error": True,
        "log_verbose_level": 2,
        "log_format": "ISO8601",
    }
    assert settings["log_verbose_level"] == {"uint32_param": 2}
    assert settings["log_warning"] == {"bool_param": False}
    assert settings["log_file"] == {"string_param": ""}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ('{"log_info": "yes"}', 400, "expect boolean"),
        ('{"log_file": "/tmp/x"}', 501, "can not be updated through network protocol"),
        ("{", 400, "JSON"),
    ],
)
def test_refusals(server: ServerProcess, body: str, status: int, words: str) -> None:
    got, _, answer = server.call("POST", "/v2/logging", body)
    assert got == status and words in answer.decode()


def test_refusals_over_grpc(server: ServerProcess) -> None:
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        with pytest.raises(tritonclient.grpc.InferenceServerException) as refused:
            client.update_log_settings({"log_format": "xml"})
        assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
        with pytest.raises(tritonclient.grpc.InferenceServerException) as refused:
            client.update_log_settings({"log_file": "/tmp/x"})
        assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_log_file_that_is_moved_away_is_made_anew(talking: Path, tmp_path: Path) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-m", "naiad", "serve", f"--model-repository={talking}", "--http-port=0",
               "--allow-grpc=false", "--allow-metrics=false", f"--log-file={path}"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            started = re.compile(r"Started HTTPService at [^ ]*:(\d+)")
            until(lambda: path.exists() and started.search(path.read_text()) is not None)
            match = started.search(path.read_text())
            assert match is not None
            server = ServerProcess(process, ports={"HTTPService": int(match[1])})
            assert server.json("GET", "/v2/logging") == (
                200,
                {
                    "log_file": str(path),
                    "log_info": True,
                    "log_warning": True,
                    "log_error": True,
                    "log_verbose_level": 0,
                    "log_format": "default",
                },
            )
            path.rename(tmp_path / "log.1")
            assert server.json("POST", "/v2/models/thread/infer", REQUEST)[0] == 200
            until(lambda: path.exists() and "a warning" in path.read_text())
        finally:
            process.terminate()
            _, error = process.communicate(timeout=60)
    assert error == "" and "a fact" not in (tmp_path / "log.1").read_text()
