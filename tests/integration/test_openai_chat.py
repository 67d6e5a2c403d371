"""Chat completions, driven by OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from .conftest import ServerProcess, until

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'


@pytest.fixture(scope="module")
def client(openai_server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://{openai_server.http}/v1", api_key="none", max_retries=0) as client:
        yield client


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def seen(client: openai.OpenAI, messages: list[Any] | None = None, **more: Any) -> Any:
    """What the model was sent."""
    answer = client.chat.completions.create(model="language", messages=messages or user("hi"), **more)
    content = answer.choices[0].message.content
    assert content is not None
    return json.loads(content)


def test_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="language", messages=user("SAY hello world"))
    assert answer.object == "chat.completion"
    assert answer.model == "language"
    assert answer.id.startswith("chatcmpl-")
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "hello world")
    assert (choice.finish_reason, choice.logprobs) == ("stop", None)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        3,
        1,
        4,
    )


def test_the_template_makes_the_prompt(client: openai.OpenAI) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    told = seen(client, messages)
    assert told["prompt"] == (
        "<|system|>Be brief.<|end|><|user|>a\nb<|end|><|assistant|>c<|end|><|user|>d<|end|><|assistant|>"
    )
    assert told["sampling"] == {"add_special_tokens": False, "max_tokens": None}


def test_sampling_parameters(client: openai.OpenAI) -> None:
    told = seen(
        client,
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=7,
        stop=["x", "y"],
        seed=3,
        presence_penalty=0.1,
        frequency_penalty=-0.2,
        logit_bias={"5": 10},
        user="me",
        extra_body={"top_k": 4, "min_tokens": 1, "ignore_eos": True},
    )
    assert told["sampling"] == {
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["x", "y"], "seed": 3,
        "presence_penalty": 0.1, "frequency_penalty": -0.2, "logit_bias": {"5": 10}, "top_k": 4,
        "min_tokens": 1, "ignore_eos": True, "add_special_tokens": False,
    }  # fmt: skip


def test_formats(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    assert seen(client, response_format=form)["sampling"]["structured_outputs"] == {"json": schema}
    told = seen(client, response_format={"type": "json_object"})
    assert told["sampling"]["structured_outputs"] == {"json_object": True}
    assert "structured_outputs" not in seen(client, response_format={"type": "text"})["sampling"]


def test_images_are_passed_on(client: openai.OpenAI) -> None:
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    told = seen(client, [{"role": "user", "content": [url, {"type": "text", "text": "what?"}]}])
    assert told["images"] == ["iVBORw0KGgo="]
    url["image_url"] = {"url": "https://example.com/a.png"}
    with pytest.raises(openai.BadRequestError, match="fetches nothing"):
        seen(client, [{"role": "user", "content": [url]}])


def test_several_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="language", messages=user("SAY ab"), n=3)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [
        (0, "ab"), (1, "AB"), (2, "AB"),
    ]  # fmt: skip
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 3)


def test_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="language", messages=user("SAY hello world"), logprobs=True, top_logprobs=1
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert [(each.token, each.logprob, each.bytes) for each in logprobs.content] == [
        ("hello", -0.5, list(b"hello")), (" world", -0.5, list(b" world")),
    ]  # fmt: skip
    assert [top.token for top in logprobs.content[0].top_logprobs] == ["other"]


def test_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="language",
        messages=user("SAY one two three"),
        stream=True,
        n=2,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    texts = {0: "", 1: ""}
    reasons = {}
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason
    assert texts == {0: "one two three", 1: "ONE TWO THREE"}
    assert reasons == {0: "stop", 1: "stop"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


def test_the_bytes_of_a_stream(openai_server: ServerProcess) -> None:
    body = {"model": "language", "messages": user("SAY a b"), "stream": True, "max_tokens": 1}
    status, headers, answer = openai_server.call("POST", "/v1/chat/completions", json.dumps(body))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    events = answer.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    told = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert [event["choices"][0]["delta"] for event in told] == [
        {"role": "assistant", "content": ""}, {"content": "a"}, {},
    ]  # fmt: skip
    assert told[-1]["choices"][0]["finish_reason"] == "length"
    assert "usage" not in told[0]


def test_tools_are_shown_and_calls_found(client: openai.OpenAI) -> None:
    assert (
        '<|tools|>[{"type": "function", "function": {"name": "weather"'
        in seen(client, tools=[TOOL])["prompt"]
    )
    answer = client.chat.completions.create(
        model="language",
        messages=user("SAY Let me look. " + CALL + "\n" + CALL),
        tools=[TOOL],  # type: ignore[list-item]
    )
    message = answer.choices[0].message
    assert message.content == "Let me look. "
    assert message.tool_calls is not None
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == [  # type: ignore[union-attr]
        ("weather", '{"city": "Paris"}')
    ] * 2
    assert answer.choices[0].finish_reason == "tool_calls"
    follow_up = [
        *user("Paris?"),
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"},
    ]
    prompt = seen(client, follow_up)["prompt"]
    assert '<|call|>{"name": "weather", "arguments": {"city": "Paris"}}' in prompt
    assert "<|tool|>sunny<|end|>" in prompt


def test_calls_in_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="language",
        messages=user("SAY Look: " + CALL),
        tools=[TOOL],
        stream=True,  # type: ignore[list-item]
    )
    text, calls, reason = "", [], None
    for chunk in stream:
        (choice,) = chunk.choices
        text += choice.delta.content or ""
        calls += choice.delta.tool_calls or []
        reason = choice.finish_reason
    assert text == "Look: "
    assert [(call.index, call.function and call.function.arguments) for call in calls] == [
        (0, '{"city": "Paris"}')
    ]
    assert reason == "tool_calls"


def test_a_demanded_call(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    answer = client.chat.completions.create(
        model="language",
        messages=user('SAY {"city": "Rome"}'),
        tools=[TOOL],
        tool_choice=choice,  # type: ignore[list-item]
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.arguments == '{"city": "Rome"}'  # type: ignore[union-attr]
    assert answer.choices[0].finish_reason == "stop"
    text = 'SAY [{"name": "weather", "arguments": {"city": "Rome"}}]'
    answer = client.chat.completions.create(
        model="language",
        messages=user(text),
        tools=[TOOL],
        tool_choice="required",  # type: ignore[list-item]
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.name == "weather"  # type: ignore[union-attr]
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"extra_body": {"nonsense": 1}}, "nonsense"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"store": True}, "store"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
         "response_format.json_schema.schema"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(client: openai.OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "language", "messages": user("a"), **more})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_failures(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=user("a"))
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="generates no text"):
        client.chat.completions.create(model="vectors", messages=user("a"))
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as busy:
            client.chat.completions.create(model="language", messages=user("SAY FAIL"), stream=stream)
        assert busy.value.status_code == 503
        assert "the model is busy" in busy.value.message


def test_a_failure_in_a_stream_is_an_event(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="language", messages=user("SAY a BREAK"), stream=True)
    texts = []
    with pytest.raises(openai.APIError, match="the model broke"):
        for chunk in stream:
            texts.append(chunk.choices[0].delta.content)
    assert texts == ["", "a"]


def test_a_model_without_a_template(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="plain", messages=user("as it is"))
    assert answer.choices[0].message.content == "as it is"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is None
    for more, param in (({"temperature": 0}, "temperature"), ({"logprobs": True}, "logprobs"),
                        ({"tools": [TOOL]}, "tools"), ({"n": 2}, "n")):  # fmt: skip
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**{"model": "plain", "messages": user("a"), **more})  # type: ignore[call-overload]
        assert caught.value.param == param
    with pytest.raises(openai.BadRequestError, match="no|lacks"):
        client.chat.completions.create(model="plain", messages=user("a") + user("b"))


def test_clients_that_go_end_the_work(openai_server: ServerProcess, openai_repository: Path) -> None:
    ended = openai_repository / "language" / "ended"

    async def go() -> None:
        async with openai.AsyncOpenAI(base_url=f"http://{openai_server.http}/v1", api_key="none") as client:

            async def leave() -> None:
                stream = await client.chat.completions.create(
                    model="language", messages=user("SAY ENDLESS"), stream=True
                )
                async for chunk in stream:
                    if chunk.choices[0].delta.content:
                        break
                await stream.close()

            await asyncio.gather(*(leave() for _ in range(5)))

            # One whose answer is not streamed, cut off in the midst.
            waiting = asyncio.create_task(
                client.chat.completions.create(model="language", messages=user("SAY ENDLESS"))
            )
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(go())
    until(lambda: ended.exists() and len(ended.read_text()) == 6, "the model still answers")
