"""The generate extension: one JSON object in, one out, or an event for each response."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerProcess, Start, write_model

ECHO = """
backend: "python"
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] },
        { name: "TIMES" data_type: TYPE_INT32 dims: [ 1 ] optional: true } ]
output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] },
         { name: "seen" data_type: TYPE_STRING dims: [ 1 ] } ]
"""
ECHO_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        text = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()[0]
        times = pb_utils.get_input_tensor_by_name(request, "TIMES")
        if text == b"FAIL":
            error = pb_utils.TritonError("suite", pb_utils.TritonError.UNAVAILABLE)
            return pb_utils.InferenceResponse([], error=error)
        text = text * (1 if times is None else int(times.as_numpy()[0]))
        seen = request.parameters().encode()
        tensors = [pb_utils.Tensor("text_output", np.array([text], np.object_)),
                   pb_utils.Tensor("seen", np.array([seen], np.object_))]
        return pb_utils.InferenceResponse(tensors, parameters={"note": "n"})
"""

WORDS = """
backend: "python"
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""
# A response for each word; ENDLESS responds until the client goes and then says so in a file.
WORDS_MODEL = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.directory = args["model_repository"]

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for word in pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()[0].split():
                if word == b"ERR":
                    sender.send(pb_utils.InferenceResponse([], error=pb_utils.TritonError("suite")))
                elif word == b"ENDLESS":
                    while not sender.is_cancelled():
                        sender.send(self.response(b"x" * 10_000))
                    open(os.path.join(self.directory, "ended"), "w").close()
                else:
                    sender.send(self.response(word))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def response(self, word):
        return pb_utils.InferenceResponse([pb_utils.Tensor("text_output", np.array([word], np.object_))])
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generate")
    write_model(path, "echo", ECHO, ECHO_MODEL)
    write_model(path, "words", WORDS, WORDS_MODEL)
    return path


@pytest.fixture(scope="module")
def server(start_server: Start, repository: Path) -> ServerProcess:
    return start_server(repository)


def generate(server: ServerProcess, model: str, body: Any, verb: str = "generate") -> tuple[int, Any, bytes]:
    return server.call("POST", f"/v2/models/{model}/{verb}", json.dumps(body))


def events(body: bytes) -> list[Any]:
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_one_answer(server: ServerProcess) -> None:
    body = {"id": "q", "text_input": "ab", "parameters": {"TIMES": 2, "temperature": 0.5}, "top_k": 3}
    status, headers, answer = generate(server, "echo", body)
    assert (status, headers["content-type"]) == (200, "application/json")
    value = json.loads(answer)
    assert json.loads(value.pop("seen")) == {"temperature": 0.5, "top_k": 3}
    assert value == {
        "id": "q", "model_name": "echo", "model_version": "1", "note": "n", "text_output": "abab",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text_input": ["a", "b"]}, 400, "proper shape"),
        ({"foo": [1]}, 400, "invalid type"),
        ({"TIMES": 1}, 400, "text_input"),
        ([1], 400, "expected an object"),
    ],
)
def test_what_is_refused_before_it_runs_is_plain_json(
    server: ServerProcess, verb: str, body: Any, status: int, words: str
) -> None:
    got, headers, answer = generate(server, "echo", body, verb)
    assert (got, headers["content-type"]) == (status, "application/json")
    assert words in json.loads(answer)["error"]


def test_unknown_models_and_methods(server: ServerProcess) -> None:
    assert generate(server, "nope", {"text_input": "a"})[0] == 404
    assert server.call("GET", "/v2/models/echo/generate")[0] == 405
    assert server.call("POST", "/v2/models/echo/versions/9/generate", "{}")[0] == 404
    assert server.call("POST", "/v2/models/echo/versions/1/generate", '{"text_input":"a"}')[0] == 200


def test_a_model_s_failure(server: ServerProcess) -> None:
    status, _, answer = generate(server, "echo", {"text_input": "FAIL"})
    assert (status, json.loads(answer)) == (503, {"error": "suite"})
    status, headers, answer = generate(server, "echo", {"text_input": "FAIL"}, "generate_stream")
    assert (status, events(answer)) == (503, [{"error": "suite"}])
    assert headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("text", ["", "a b"])
def test_generate_wants_one_response(server: ServerProcess, text: str) -> None:
    status, _, answer = generate(server, "words", {"text_input": text})
    assert status == 500
    assert "exactly 1 response" in json.loads(answer)["error"]
    status, _, answer = generate(server, "words", {"text_input": "one"})
    assert (status, json.loads(answer)["text_output"]) == (200, "one")


def test_events(server: ServerProcess) -> None:
    status, headers, answer = generate(
        server, "words", {"id": "i", "text_input": "a b ERR c"}, "generate_stream"
    )
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    told = events(answer)
    assert [event.get("text_output") for event in told] == ["a", "b", None, "c"]
    assert told[2] == {"error": "suite"}
    assert told[0] == {"id": "i", "model_name": "words", "model_version": "1", "text_output": "a"}
    assert generate(server, "words", {"text_input": ""}, "generate_stream")[2] == b""
    assert len(events(generate(server, "echo", {"text_input": "a"}, "generate_stream")[2])) == 1


def request_text(model: str, text: str, version: str = "1.1", verb: str = "generate_stream") -> bytes:
    body = json.dumps({"text_input": text})
    head = f"POST /v2/models/{model}/{verb} HTTP/{version}\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def test_the_connection_is_kept_and_answers_stay_in_order(server: ServerProcess) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request_text("words", "a b") + request_text("echo", "c", verb="generate"))
        got = b""
        while b'"text_output":"c"' not in got:
            got += client.recv(65536)
    assert got.index(b'"text_output":"a"') < got.index(b"\r\n0\r\n\r\n") < got.index(b'"text_output":"c"')


def test_http_1_0_ends_with_the_connection(server: ServerProcess) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request_text("words", "a b", "1.0"))
        got = b""
        while part := client.recv(65536):
            got += part
    head, body = got.split(b"\r\n\r\n", 1)
    assert b"chunked" not in head
    assert [event["text_output"] for event in events(body)] == ["a", "b"]


def test_a_reader_that_goes_ends_the_model_s_work(server: ServerProcess, repository: Path) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request_text("words", "ENDLESS"))
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    for _ in range(500):
        if (repository / "words" / "ended").exists():
            break
        threading.Event().wait(0.02)
    assert (repository / "words" / "ended").exists()
    assert generate(server, "words", {"text_input": "after"})[0] == 200
