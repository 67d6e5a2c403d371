"""The vllm backend on a live server, with a stand-in for vLLM whose engine has a process of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton

from .conftest import ServerProcess, Start, lives, until
from .language_streams import events, metric_lines, open_stream

pytest.importorskip("pydantic", reason="vLLM's own dependency, which the backend reads values with")

FAKE_VLLM = Path(__file__).parents[1] / "unit" / "backends" / "fake_vllm"
METRICS = 'backend: "vllm" parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "true" } }'
DIED = "model 'llm': its engine has died and is started again"


def write(repository: Path, name: str, arguments: dict[str, Any], config: str = "") -> None:
    version = repository / name / "1"
    version.mkdir(parents=True)
    (version / "model.json").write_text(json.dumps(arguments))
    if config:
        (repository / name / "config.pbtxt").write_text(config)


@pytest.fixture(scope="module")
def fake_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAKE_VLLM))
        yield


@pytest.fixture(scope="module")
def server(fake_path: None, start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("vllm")
    write(repository, "llm", {"model": "m", "seed": 1}, METRICS)
    write(repository, "plain", {"model": "m"})
    write(repository, "embedder", {"model": "m", "task": "embed"})
    write(repository, "wrong", {"model": "m", "max_model_length": 8})
    write(repository, "broken", {"model": "missing"})
    return start_server(repository, "--exit-on-error=false", "--strict-readiness=false")


def generate(server: ServerProcess, text: str, model: str = "llm", **more: object) -> tuple[int, Any]:
    return server.json("POST", f"/v2/models/{model}/generate", {"text_input": text} | more)


def stream(server: ServerProcess, text: str, **more: object) -> tuple[Any, Any]:
    return open_stream(server, text, 30, more)


def metric(server: ServerProcess, name: str) -> float:
    """Of the engine of `llm`, as the server reports it."""
    (line,) = metric_lines(server, name, 30)
    assert 'model="llm"' in line and 'version="1"' in line
    return float(line.split()[-1])


def running(server: ServerProcess) -> float:
    return metric(server, "vllm:num_requests_running")


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # it has ended


def parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def processes(server: ServerProcess) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The workers of `llm`, and what they have spawned to be their engines."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    workers = [child for child in children if "llm_0" in command(child)]
    spawned = [child for child in children if "spawn_main" in command(child) and parent(child) in workers]
    return workers, spawned


def is_ready(server: ServerProcess) -> bool:
    return server.call("GET", "/v2/models/llm/ready")[0] == 200


def test_a_model_json_is_enough(server: ServerProcess) -> None:
    status, answer = generate(server, "a b", "plain", max_tokens=2)
    assert (status, answer["text_output"]) == (200, "a b a b")
    _, config = server.json("GET", "/v2/models/plain/config")
    assert isinstance(config, dict)
    assert config["instance_group"][0]["kind"] == "KIND_MODEL"
    assert config["model_transaction_policy"] == {"decoupled": True}


def test_models_that_cannot_be_loaded_say_why(server: ServerProcess) -> None:
    _, index = server.json("POST", "/v2/repository/index", {})
    assert isinstance(index, list)
    reasons = {model["name"]: model.get("reason", "") for model in index}
    assert "no engine argument 'max_model_length'; did you mean 'max_model_len'?" in reasons["wrong"]
    assert "OSError: there is no model 'missing'" in reasons["broken"]


def test_embeddings(server: ServerProcess) -> None:
    body = {"inputs": [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["ab c"]}]}
    status, answer = server.json("POST", "/v2/models/embedder/infer", body)
    assert isinstance(answer, dict)
    assert status == 200
    assert answer["outputs"] == [
        {"name": "embedding", "datatype": "FP32", "shape": [3], "data": [3.0, 2.0, 1.0]}
    ]


def test_a_stream_over_http(server: ServerProcess) -> None:
    connection, response = stream(server, "a b", parameters={"max_tokens": 3}, return_finish_reason=True)
    answers = [(event["text_output"], event["finish_reason"]) for event in events(response)]
    connection.close()
    assert answers == [(" a", "None"), (" b", "None"), (" a", "length")]


def test_a_stream_over_grpc(server: ServerProcess) -> None:
    responses: queue.Queue[Any] = queue.Queue()
    text = triton.InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"a b"], np.object_))
    streams = triton.InferInput("stream", [1], "BOOL")
    streams.set_data_from_numpy(np.array([True]))
    sampling = triton.InferInput("sampling_parameters", [1], "BYTES")
    sampling.set_data_from_numpy(np.array([b'{"max_tokens": "3", "temperature": "0"}'], np.object_))
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: responses.put(error or result))
        client.async_stream_infer("llm", [text, streams, sampling])
        client.stop_stream()
    texts = [response.as_numpy("text_output")[0] for response in responses.queue]
    assert texts == [b" a", b" b", b" a"]


def test_bad_requests(server: ServerProcess) -> None:
    for more, words in (
        ({"bogus": 1}, "there is no 'bogus'"),
        ({"temperature": -1}, "temperature must be non-negative"),
        ({"sampling_parameters": "[]"}, "a JSON object is expected"),
    ):
        status, answer = generate(server, "a", **more)
        assert status == 400
        assert words in answer["error"]


def test_clients_that_go_leave_nothing_in_the_engine(server: ServerProcess) -> None:
    open_streams = [stream(server, "a !wait", parameters={"max_tokens": 100000}) for _ in range(20)]
    for _, response in open_streams:
        assert response.readline().startswith(b"data: ")
    until(lambda: running(server) == 20)
    for connection, response in open_streams:
        response.close()
        connection.close()
    until(lambda: running(server) == 0)


def test_a_client_that_does_not_read_holds_up_nobody(server: ServerProcess) -> None:
    connection, response = stream(server, "a" * 5000, parameters={"max_tokens": 100_000})
    assert response.readline().startswith(b"data: ")
    counts = [-1.0]

    def stands_still() -> bool:
        time.sleep(0.6)  # longer than from one report to the next
        counts.append(metric(server, "vllm:generation_tokens_total"))
        return counts[-1] == counts[-2]

    until(stands_still)
    assert running(server) == 1
    assert generate(server, "a", max_tokens=1)[0] == 200
    response.close()
    connection.close()
    until(lambda: running(server) == 0)


def test_an_engine_that_dies(server: ServerProcess) -> None:
    (worker,), (engine,) = processes(server)
    connection, response = stream(server, "a !wait", parameters={"max_tokens": 100000})
    assert response.readline().startswith(b"data: ")
    os.kill(engine.pid, signal.SIGKILL)
    assert events(response)[-1] == {"error": DIED}
    connection.close()
    until(lambda: not lives(worker.pid))
    # Another one takes its place.
    until(lambda: is_ready(server) and processes(server)[1] not in ([], [engine]))
    assert generate(server, "a", max_tokens=1) == (
        200,
        {"model_name": "llm", "model_version": "1", "text_output": "a a"},
    )
    assert "its engine has died; its worker ends for another one" in server.log


def test_a_worker_that_is_killed_takes_its_engine_with_it(server: ServerProcess) -> None:
    (worker,), (engine,) = processes(server)
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not lives(engine.pid))
    until(lambda: is_ready(server))


def test_so_does_a_server(fake_path: None, start_server: Start, tmp_path: Path) -> None:
    write(tmp_path, "llm", {"model": "m", "seed": 1})
    server = start_server(tmp_path)
    (worker,), (engine,) = processes(server)
    server.process.kill()
    server.wait()
    until(lambda: not lives(worker.pid) and not lives(engine.pid))


def test_a_missing_vllm_is_named(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if subprocess.run([sys.executable, "-c", "import vllm"], capture_output=True).returncode == 0:
        pytest.skip("vllm is installed here")
    write(tmp_path, "llm", {"model": "m"})
    server = start_server(tmp_path, "--exit-on-error=false", "--strict-readiness=false")
    _, index = server.json("POST", "/v2/repository/index", {})
    assert "the vllm backend needs vllm: pip install 'naiad[vllm]'" in str(index)
