"""Real generations: over HTTP and gRPC, streams, what an answer can tell."""

from __future__ import annotations

import json
import queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from ..integration.conftest import ServerProcess
from ..integration.language_streams import events
from .conftest import LOADS_IN_S
from .engine_requests import GREEDY, PROMPT, generate, stream

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)


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
