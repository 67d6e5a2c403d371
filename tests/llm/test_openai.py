"""OpenAI's client on a real model: what needs an engine to be true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from ..integration.conftest import ServerProcess
from .conftest import LOADS_IN_S

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

SYSTEM = "You are a helpful assistant."
QUESTION: list[Any] = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "What is the capital of France?"},
]
GREEDY: dict[str, Any] = {"model": "llm", "temperature": 0}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client(llm_server: ServerProcess) -> Iterator[openai.OpenAI]:
    url = f"http://{llm_server.http}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=LOADS_IN_S) as client:
        yield client


def test_a_chat_and_its_stream_say_the_same(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(messages=QUESTION, max_tokens=20, **GREEDY)
    text = whole.choices[0].message.content or ""
    assert "Paris" in text
    stream = client.chat.completions.create(
        messages=QUESTION, max_tokens=20, stream=True, stream_options={"include_usage": True}, **GREEDY
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage
    assert last.usage is not None and last.usage.prompt_tokens > 10


def test_several_answers_with_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="llm", messages=QUESTION, n=3, seed=5, max_tokens=6, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None and answer.usage.completion_tokens <= 18
    for choice in answer.choices:
        assert choice.logprobs is not None and choice.logprobs.content is not None
        said = "".join(each.token for each in choice.logprobs.content)
        assert said.startswith(choice.message.content or "?")
        # The token that was drawn stands among the likeliest where it is no third one.
        assert all(2 <= len(each.top_logprobs) <= 3 for each in choice.logprobs.content)


def test_a_schema_holds(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(messages=QUESTION, response_format=form, max_tokens=120, **GREEDY)
    made = json.loads(answer.choices[0].message.content or "")
    assert isinstance(made["city"], str) and isinstance(made["people"], int)
    assert len(made) == 2


def test_a_template_without_tools_refuses_them(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="chat template with tools") as refused:
        client.chat.completions.create(messages=QUESTION, tools=[WEATHER], **GREEDY)
    assert refused.value.param == "tools"


def test_bias_stop_and_echo_of_completions(client: openai.OpenAI, llm_server: ServerProcess) -> None:
    _, told = llm_server.json("POST", "/tokenize", {"model": "llm", "prompt": " Paris"})
    assert isinstance(told, dict)
    (token,) = told["tokens"]
    prompt = "The capital of France is"
    answer = client.completions.create(prompt=prompt, max_tokens=3, echo=True, **GREEDY)
    assert answer.choices[0].text.startswith(f"{prompt} Paris")
    without = client.completions.create(prompt=prompt, max_tokens=3, logit_bias={str(token): -100}, **GREEDY)
    assert "Paris" not in without.choices[0].text
    stopped = client.completions.create(prompt=[prompt, prompt], max_tokens=9, stop=" Paris", **GREEDY)
    assert [(choice.text, choice.finish_reason) for choice in stopped.choices] == [("", "stop")] * 2


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="llm", instructions=SYSTEM, input=QUESTION[1:], max_output_tokens=20, temperature=0
    )
    assert "Paris" in answer.output_text
    assert answer.usage is not None and answer.usage.output_tokens > 2


def test_a_prompt_that_is_too_long_is_refused_in_their_form(client: openai.OpenAI) -> None:
    long: list[Any] = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(openai.BadRequestError, match="1024") as refused:
        client.chat.completions.create(messages=long, **GREEDY)
    assert refused.value.type == "invalid_request_error"
