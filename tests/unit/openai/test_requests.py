"""What requests say: sampling parameters, messages, items; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from naiad.errors import InvalidArgument, NotReady, Unavailable
from naiad.openai.errors import ApiError, api_error
from naiad.openai.fields import Fields
from naiad.openai.messages import read_messages
from naiad.openai.response_items import read_input
from naiad.openai.sampling import Sampling, read_format, read_max_tokens, read_sampling


def sampling_of(**values: Any) -> dict[str, Any]:
    fields = Fields(values)
    sampling = read_sampling(fields)
    fields.finish()
    assert json.loads(sampling.to_json()) == sampling.values
    return sampling.values


def test_sampling_by_vllm_s_names() -> None:
    assert sampling_of(stop="a", logit_bias={}, skip_special_tokens=False) == {
        "stop": ["a"], "skip_special_tokens": False,
    }  # fmt: skip
    assert sampling_of(structured_outputs={"regex": "a+"}) == {"structured_outputs": {"regex": "a+"}}


@pytest.mark.parametrize(
    "values",
    [
        {"stop": [1]},
        {"stop": ""},
        {"stop": ["x"] * 65},
        {"logit_bias": {"1": 101}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"1": True}},
        {"stop_token_ids": ["a"]},
        {"stop_token_ids": [True]},
        {"bad_words": "a"},
        {"top_p": 1.1},
        {"n": 129},
    ],
)
def test_sampling_that_can_t_be(values: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        sampling_of(**values)
    assert caught.value.param == next(iter(values))


def test_limits_and_formats() -> None:
    sampling = Sampling()
    read_max_tokens(Fields({"a": 5, "b": 5}), sampling, "a", "b")
    assert sampling.values == {"max_tokens": 5}
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    read_format(Fields(form, "text.format"), sampling, "text.format")
    assert sampling.values["structured_outputs"] == {"json": {"type": "object"}}
    with pytest.raises(ApiError, match="cannot be combined"):
        sampling.structure({"regex": "a"}, "tool_choice")
    for wrong in (
        {},
        {"type": "xml"},
        {"type": "json_object", "more": 1},
        {"type": "json_schema", "schema": 1},
    ):
        with pytest.raises(ApiError):
            read_format(Fields(wrong, "f"), Sampling(), "f")


def test_messages_for_templates() -> None:
    said = read_messages(
        [
            {"role": "developer", "content": "be"},
            {"role": "user", "name": "Ann", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
            ]},
        ]
    )  # fmt: skip
    assert said.images == ("QUJD",)
    plain = said.for_template(parts=False, developer=False)
    assert plain[0] == {"role": "system", "content": "be"}
    assert plain[1] == {
        "role": "user", "name": "Ann", "content": [{"type": "text", "text": "see"}, {"type": "image"}],
    }  # fmt: skip
    parts = said.for_template(parts=True, developer=True)
    assert parts[0] == {"role": "developer", "content": [{"type": "text", "text": "be"}]}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (1, "messages[0]"),
        ({"content": "a"}, "messages[0].role"),
        ({"role": "wizard", "content": "a"}, "messages[0].role"),
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": "user", "content": "a", "mood": "b"}, "messages[0].mood"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "messages[0].content[0].text"),
        ({"role": "tool", "content": "a"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "content": "a", "audio": {}}, "messages[0].audio"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
         "messages[0].tool_calls[0]"),
    ],
)  # fmt: skip
def test_messages_that_can_t_be(message: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_messages([message])
    assert caught.value.param == param


@pytest.mark.parametrize(
    "url", ["http://a/b.png", "data:image/png;base64,?", "data:text/html;base64,QQ==", None]
)
def test_images_are_data(url: Any) -> None:
    with pytest.raises(ApiError):
        read_messages([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])


def test_items_become_messages() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "id": "x", "status": "y"}
    said = read_input([{"role": "user", "content": "a"}, call, {**call, "call_id": "2"}], "be")
    assert [message.role for message in said.messages] == ["system", "user", "assistant"]
    assert [each["id"] for each in said.messages[2].more["tool_calls"]] == ["1", "2"]
    for item in ({"type": "web_search_call"}, 5, {"role": "user", "content": [{"type": "input_file"}]}):
        with pytest.raises(ApiError, match=r"input\[0\]"):
            read_input([item], None)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidArgument("x"), 400, "invalid_request_error"),
        (NotReady("x"), 503, "service_unavailable_error"),
        (Unavailable("Exceeds maximum queue size"), 429, "rate_limit_error"),
    ],
)
def test_failures_of_the_server(error: Any, status: int, kind: str) -> None:
    told = api_error(error)
    assert (told.status, told.to_json()["error"]["type"]) == (status, kind)


def test_reading_is_total() -> None:
    """Values of any type, in any place, are refused and never an error of the code."""
    odd: list[Any] = [None, True, 1, -1.5, "", "x", [], [1], {}, {"type": "x"}, [[]], [{}], {"a": {"b": []}}]
    readers: list[Callable[[Any], object]] = [
        lambda value: read_messages([value]),
        lambda value: read_messages([{"role": "user", "content": value}]),
        lambda value: read_messages([{"role": "user", "content": [value]}]),
        lambda value: read_messages([{"role": "assistant", "tool_calls": [value]}]),
        lambda value: read_messages([{"role": "assistant", "tool_calls": [{"function": value}]}]),
        lambda value: read_input(value, None),
        lambda value: read_input([value], None),
        lambda value: read_input([{"role": value, "content": value}], None),
    ]
    for read in readers:
        for value in odd:
            try:
                read(value)
            except ApiError as error:
                assert error.status == 400
