"""Real generations: over HTTP and gRPC, streams, clients that go, an engine that is killed."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton

from ..integration.conftest import ServerProcess, exchange, lives, until
from ..integration.language_streams import events, metric_lines, open_stream
from .conftest import LOADS_IN_S

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

PATIENCE_S = 60
NUM_STREAMS = int(os.environ.get("NAIAD_LLM_STREAMS", "50"))
PROMPT = "The capital of France is"
GREEDY = {"temperature": 0, "max_tokens": 12}


def generate(server: ServerProcess, text: str = PROMPT, **more: object) -> Any:
    body = {"text_input": text, "exclude_input_in_output": True} | more
    connection = http.client.HTTPConnection(server.http, timeout=LOADS_IN_S)
    status, _, answer = exchange(connection, "POST", "/v2/models/llm/generate", json.dumps(body))
    connection.close()
    assert status == 200, answer
    return json.loads(answer)


def stream(server: ServerProcess, text: str = PROMPT, **more: object) -> tuple[Any, Any]:
    return open_stream(server, text, LOADS_IN_S, more)


def metric(server: ServerProcess, name: str) -> float:
    return sum(float(line.split()[-1]) for line in metric_lines(server, name, 60))


def in_engine(server: ServerProcess) -> float:
    """How many requests run, or wait for their turn."""
    return metric(server, "vllm:num_requests_running") + metric(server, "vllm:num_requests_waiting")


def engine_of(server: ServerProcess) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if child.name().startswith("VLLM::")]


def test_a_fact(llm_server: ServerProcess) -> None:
    answer = generate(llm_server, parameters=GREEDY, return_finish_reason=True, return_num_output_tokens=True)
    assert "Paris" in answer["text_output"]
    assert (answer["finish_reason"], answer["num_output_tokens"]) == ("length", 12)


def test_streams_say_the_same(llm_server: ServerProcess) -> None:
    whole = generate(llm_server, parameters=GREEDY)["text_output"]
    connection, response = stream(llm_server, parameters=GREEDY)
    parts = [event["text_output"] for event in events(response)]
    connection.close()
    assert len(parts) > 5
    assert "".join(parts) == whole
    assert "".join(grpc_stream(llm_server, json.dumps(GREEDY))) == whole


def grpc_stream(server: ServerProcess, sampling: str) -> list[str]:
    def tensor(name: str, datatype: str, value: Any) -> triton.InferInput:
        made = triton.InferInput(name, [1], datatype)
        made.set_data_from_numpy(np.array([value], np.object_ if datatype == "BYTES" else bool))
        return made

    inputs = [
        tensor("text_input", "BYTES", PROMPT.encode()),
        tensor("stream", "BOOL", True),
        tensor("sampling_parameters", "BYTES", sampling.encode()),
    ]
    responses: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: responses.put(error or result))
        client.async_stream_infer("llm", inputs)
        client.stop_stream()
    return [response.as_numpy("text_output")[0].decode() for response in responses.queue]


def test_what_an_answer_can_tell(llm_server: ServerProcess) -> None:
    answer = generate(
        llm_server,
        sampling_parameters=json.dumps(
            {"temperature": "0.8", "seed": 7, "max_tokens": 3, "n": 2, "logprobs": 0}
        ),
        return_logprobs=True,
        return_cumulative_logprob=True,
        return_num_input_tokens=True,
        return_num_output_tokens=True,
    )
    assert (answer["num_input_tokens"], answer["num_output_tokens"]) == (5, [3, 3])
    (logprobs, _), (total, _) = answer["logprobs"], answer["cumulative_logprob"]
    entries = [next(iter(position.values())) for position in json.loads(logprobs)]
    assert "".join(entry["decoded_token"] for entry in entries) == answer["text_output"][0]
    assert sum(entry["logprob"] for entry in entries) == pytest.approx(total, abs=1e-4)


def test_a_stop_string_ends_it(llm_server: ServerProcess) -> None:
    answer = generate(llm_server, parameters=GREEDY | {"stop": "."}, return_finish_reason=True)
    assert answer["finish_reason"] == "stop"
    assert "." not in answer["text_output"]


def test_constraints(llm_server: ServerProcess) -> None:
    for constraint, fits in (
        ({"choice": ["Lyon", "Nice"]}, lambda text: text in ("Lyon", "Nice")),
        ({"regex": "[0-9]{4}"}, lambda text: text.isdigit() and len(text) == 4),
        (
            {"json": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
            lambda text: isinstance(json.loads(text)["a"], int),
        ),
    ):
        sampling = json.dumps({"temperature": 0, "max_tokens": 64, "structured_outputs": constraint})
        text = generate(llm_server, "Answer: ", sampling_parameters=sampling)["text_output"]
        assert fits(text), (constraint, text)


def test_a_prompt_that_is_too_long(llm_server: ServerProcess) -> None:
    body = {"text_input": "word " * 2000}
    status, answer = llm_server.json("POST", "/v2/models/llm/generate", body)
    assert status == 400
    assert "1024" in str(answer)


def test_clients_that_go_leave_nothing_in_the_engine(llm_server: ServerProcess) -> None:
    # Most of many wait in the engine for their turn, and have no head of an answer yet.
    body = {"stream": True, "parameters": {"max_tokens": 900, "ignore_eos": True}}
    connections = [http.client.HTTPConnection(llm_server.http, timeout=60) for _ in range(NUM_STREAMS)]
    for number, connection in enumerate(connections):
        text = {"text_input": f"{number}. Once upon a time"}
        connection.request("POST", "/v2/models/llm/generate_stream", json.dumps(body | text))
    until(lambda: in_engine(llm_server) == NUM_STREAMS, patience_s=PATIENCE_S)
    for connection in connections:
        connection.close()
    until(lambda: in_engine(llm_server) == 0, patience_s=PATIENCE_S)
    assert "Paris" in generate(llm_server, parameters=GREEDY)["text_output"]


def test_an_engine_that_is_killed(llm_server: ServerProcess) -> None:
    connection, response = stream(llm_server, parameters={"max_tokens": 900, "ignore_eos": True})
    assert response.readline().startswith(b"data: ")
    killed = next(
        process for process in engine_of(llm_server) if process.name().startswith("VLLM::EngineCor")
    )
    os.kill(killed.pid, signal.SIGKILL)
    assert "its engine has died" in events(response)[-1]["error"]
    connection.close()
    until(lambda: llm_server.call("GET", "/v2/models/llm/ready")[0] == 400, patience_s=PATIENCE_S)
    until(lambda: llm_server.call("GET", "/v2/models/llm/ready")[0] == 200, patience_s=LOADS_IN_S)
    assert "Paris" in generate(llm_server, parameters=GREEDY)["text_output"]


def test_a_server_that_stops_ends_its_engine(llm_server: ServerProcess) -> None:
    processes = engine_of(llm_server)
    assert processes
    llm_server.signal()
    assert llm_server.wait() == 0
    until(lambda: not any(lives(process.pid) for process in processes), patience_s=PATIENCE_S)
