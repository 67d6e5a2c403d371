"""The rest of OpenAI's API: models, completions, responses, embeddings, rerankers, tokens, the port."""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from .conftest import ServerProcess, Start, exchange, until, write_model


@pytest.fixture(scope="module")
def openai_port(openai_server: ServerProcess) -> str:
    found = re.search(r"Started OpenAI Service at 127\.0\.0\.1:(\d+)", openai_server.log)
    assert found is not None
    return f"127.0.0.1:{found[1]}"


@pytest.fixture(scope="module", params=["HTTP port", "own port"])
def client(
    openai_server: ServerProcess, openai_port: str, request: pytest.FixtureRequest
) -> Iterator[openai.OpenAI]:
    address = openai_server.http if request.param == "HTTP port" else openai_port
    with openai.OpenAI(base_url=f"http://{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def post(server: ServerProcess, path: str, body: object) -> tuple[int, Any]:
    return server.json("POST", path, body)


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["language", "plain", "scores", "vectors"]
    model = client.models.retrieve("language")
    assert (model.id, model.object, model.owned_by) == ("language", "model", "naiad")
    for name in ("numbers", "nobody"):
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(name)


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="language", prompt=["SAY a b", "SAY c"], n=2, echo=True)
    assert [(choice.index, choice.text) for choice in answer.choices] == [
        (0, "SAY a ba b"), (1, "SAY a bA B"), (2, "SAY cc"), (3, "SAY cC"),
    ]  # fmt: skip
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 4)
    told = json.loads(client.completions.create(model="language", prompt="hi").choices[0].text)
    assert told["sampling"] == {"max_tokens": 16}
    assert told["stream"] is False


def test_completions_of_token_ids(client: openai.OpenAI) -> None:
    told = json.loads(client.completions.create(model="language", prompt=[2, 3]).choices[0].text)
    assert (told["prompt"], told["sampling"]["add_special_tokens"]) == ("hello world", False)
    for ids in ([1, 99], [0, 0, 2**31]):
        with pytest.raises(openai.BadRequestError, match="vocabulary"):
            client.completions.create(model="language", prompt=ids)
    with pytest.raises(openai.BadRequestError, match="needs the tokenizer"):
        client.completions.create(model="plain", prompt=[2, 3])


def test_a_stream_of_completions(client: openai.OpenAI) -> None:
    stream = client.completions.create(
        model="language",
        prompt=["SAY one two", "SAY three four"],
        stream=True,
        logprobs=1,
        stream_options={"include_usage": True},
    )
    texts = {0: "", 1: ""}
    offsets: dict[int, list[int]] = {0: [], 1: []}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.logprobs is not None:
                offsets[choice.index] += choice.logprobs.text_offset or []
                assert choice.logprobs.top_logprobs is not None
                assert choice.logprobs.top_logprobs[0]["other"] == -0.25
    assert texts == {0: "one two", 1: "three four"}
    assert offsets == {0: [0, 3], 1: [0, 5]}
    assert chunk.usage is not None and chunk.usage.completion_tokens == 4


def test_what_completions_refuse(client: openai.OpenAI) -> None:
    for more, param in (({"suffix": "x"}, "suffix"), ({"best_of": 3}, "best_of"), ({"prompt": []}, "prompt")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(**{"model": "language", "prompt": "a", **more})  # type: ignore[call-overload]
        assert caught.value.param == param
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(
            model="plain", prompt="a", stream=True, stream_options={"include_usage": True}
        )
    assert caught.value.param == "stream_options.include_usage"


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="language", input="SAY hello world", instructions="Be kind.")
    assert (answer.status, answer.output_text, answer.object) == ("completed", "hello world", "response")
    assert answer.usage is not None and answer.usage.output_tokens == 1
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Paris?"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Paris"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]
    told = json.loads(client.responses.create(model="language", input=items).output_text)
    assert told["prompt"] == (
        '<|user|>Paris?<|end|><|assistant|><|call|>{"name": "weather", "arguments": {"city": "Paris"}}<|end|>'
        "<|tool|>sunny<|end|><|assistant|>"
    )
    cut = client.responses.create(
        model="language", input="SAY a b", max_output_tokens=1, include=["message.output_text.logprobs"]
    )
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None and cut.incomplete_details.reason == "max_output_tokens"
    for more in ({"previous_response_id": "r"}, {"store": True}, {"background": True}):
        with pytest.raises(openai.BadRequestError, match=next(iter(more))):
            client.responses.create(model="language", input="a", **more)  # type: ignore[arg-type]


def test_the_events_of_a_response(client: openai.OpenAI) -> None:
    text = 'SAY Look. <tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": None}
    events = list(client.responses.create(model="language", input=text, tools=[tool], stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-5:] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas: list[Any] = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == "Look. "
    last: Any = events[-1]
    assert [item.type for item in last.response.output] == ["message", "function_call"]
    assert last.response.output[1].arguments == '{"city": "Rome"}'
    broken: list[Any] = list(client.responses.create(model="language", input="SAY a BREAK", stream=True))
    assert broken[-1].type == "response.failed"
    assert broken[-1].response.error.message == "the model broke"


def test_embeddings(client: openai.OpenAI) -> None:
    texts = ["abc", "a b c d", "x"]  # more than the model takes at once
    plain = client.embeddings.create(model="vectors", input=texts, encoding_format="float")
    assert [each.embedding for each in plain.data] == [[3, 0, 1], [7, 3, 1], [1, 0, 1]]
    packed = client.embeddings.create(model="vectors", input="abc", encoding_format="base64")
    raw: Any = packed.data[0].embedding
    assert np.frombuffer(base64.b64decode(raw), "<f4").tolist() == [3, 0, 1]
    # The client's own default is base64, which it reads itself.
    assert client.embeddings.create(model="vectors", input="abc").data[0].embedding == [3, 0, 1]
    cut = client.embeddings.create(model="vectors", input="abcd e", dimensions=2).data[0].embedding
    assert cut == pytest.approx([6 / 37**0.5, 1 / 37**0.5])
    for more, param in (
        ({"dimensions": 4}, "dimensions"),
        ({"input": [""]}, "input"),
        ({"input": [1]}, "input"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(**{"model": "vectors", "input": "a", **more})
        assert caught.value.param == param


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_rerank(openai_server: ServerProcess, path: str) -> None:
    body = {"model": "scores", "query": "a b", "documents": ["x y", {"text": "b a"}, "a x"], "top_n": 2}
    status, answer = post(openai_server, path, body)
    assert status == 200
    assert answer["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "b a"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "a x"}},
    ]
    status, answer = post(openai_server, path, {**body, "return_documents": False, "top_n": 9})
    assert [result["index"] for result in answer["results"]] == [1, 2, 0]
    assert "document" not in answer["results"][0]
    status, answer = post(openai_server, path, {**body, "documents": []})
    assert (status, answer["error"]["param"]) == (400, "documents")
    assert post(openai_server, path, {**body, "model": "vectors"})[0] == 400


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_score(openai_server: ServerProcess, path: str) -> None:
    status, answer = post(
        openai_server, path, {"model": "scores", "text_1": "a b", "text_2": ["a", "b a", "c"]}
    )
    assert status == 200
    assert [each["score"] for each in answer["data"]] == [0.5, 1.0, 0.0]
    pairs = {"model": "scores", "text_1": ["a", "b"], "text_2": ["a", "c"]}
    assert [each["score"] for each in post(openai_server, path, pairs)[1]["data"]] == [1.0, 0.0]
    status, answer = post(openai_server, path, {**pairs, "text_2": ["a", "b", "c"]})
    assert (status, answer["error"]["param"]) == (400, "text_2")


def test_tokens(openai_server: ServerProcess) -> None:
    asked = {"model": "language", "prompt": "hello world", "return_token_strs": True}
    assert post(openai_server, "/tokenize", asked) == (
        200,
        {"count": 3, "max_model_len": 128, "tokens": [1, 2, 3], "token_strs": ["[BOS]", "hello", "world"]},
    )
    messages = {"model": "language", "messages": [{"role": "user", "content": "hello"}]}
    assert post(openai_server, "/tokenize", messages)[1]["count"] == 1
    assert post(openai_server, "/detokenize", {"model": "language", "tokens": [2, 3]}) == (
        200,
        {"prompt": "hello world"},
    )
    for body in ({"model": "language", "tokens": [77]}, {"model": "plain", "tokens": [1]}):
        assert post(openai_server, "/detokenize", body)[0] == 400


def test_failures_of_the_form(openai_server: ServerProcess, openai_port: str) -> None:
    def error(method: str, path: str, body: bytes | str | None = None) -> tuple[int, str | None, str | None]:
        status, _, answer = openai_server.call(method, path, body)
        told = json.loads(answer)["error"]
        return status, told["param"], told["code"]

    assert error("GET", "/v1/chat/completions")[0] == 405
    assert error("POST", "/v1/models", "{}")[0] == 405
    assert error("POST", "/v1/images", "{}") == (404, None, "unknown_url")
    for body in ("{", "[]", "", '{"model": NaN}', '{"model": "\\ud800"}'):
        assert error("POST", "/v1/chat/completions", body)[0] == 400
    assert error("POST", "/v1/chat/completions", "{}") == (400, "model", "missing_required_parameter")
    connection = http.client.HTTPConnection(openai_port, timeout=30)
    status, _, answer = exchange(connection, "POST", "/v1/completions", b"x" * 1_048_577)
    assert (status, "exceeds" in json.loads(answer)["error"]["message"]) == (400, True)
    # The rest of the API has ports of its own.
    assert exchange(connection, "GET", "/v2/health/ready")[0] == 404
    connection.close()


def test_a_server_that_stops_lets_answers_finish(
    start_server: Start, repository: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "models"
    config = (
        'backend: "python"\nmodel_transaction_policy { decoupled: true }\n'
        'input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]\n'
        'output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] } ]\n'
    )
    model = f"""
import os, time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for word in (b"a", b"b"):
                text = pb_utils.Tensor("text_output", np.array([word], np.object_))
                sender.send(pb_utils.InferenceResponse([text]))
                while not os.path.exists({str(tmp_path / "gate")!r}):
                    time.sleep(0.005)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
    write_model(slow, "slow", config, model)
    server = start_server(slow)
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client:
        texts: list[str] = []
        begun = threading.Event()

        def read() -> None:
            for chunk in client.completions.create(model="slow", prompt="x", stream=True):
                texts.append(chunk.choices[0].text)
                begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(30)
        server.signal()
        until(lambda: "Stopping: 1 requests in flight" in server.log)
        with pytest.raises(openai.InternalServerError, match="stopping"):
            client.completions.create(model="slow", prompt="x")
        (tmp_path / "gate").touch()
        reader.join(30)
    assert texts == ["a", "b", ""]
    assert server.wait() == 0
