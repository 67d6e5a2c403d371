"""Calls of tools: found in whatever pieces the text comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.openai.errors import ApiError
from naiad.openai.fields import Fields
from naiad.openai.sampling import Sampling
from naiad.openai.tools import Tools, read_tools

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
TOOL = {"type": "function", "function": FUNCTION}
CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
MARKED = Tools(({},), "marked")


def read(tools: Tools, pieces: list[str]) -> tuple[str, list[tuple[str, str]]]:
    reader = tools.reader()
    text, calls = "", []
    for piece in pieces:
        told = reader.read(piece)
        text, calls = text + told[0], calls + told[1]
    told = reader.finish()
    text, calls = text + told[0], calls + told[1]
    assert reader.num_calls == len(calls)
    assert len({call.id for call in calls}) == len(calls)
    return text, [(call.name, call.arguments) for call in calls]


TEXTS = [
    ("just text < here <tool", ("just text < here <tool", [])),
    (CALL, ("", [("f", '{"a": 1}')])),
    (f"look: {CALL}\n{CALL}\n", ("look: ", [("f", '{"a": 1}')] * 2)),
    (f"{CALL}\n\nafter", ("\n\nafter", [("f", '{"a": 1}')])),
    ("<tool_call>no JSON</tool_call> x", ("<tool_call>no JSON</tool_call> x", [])),
    ('a <tool_call>{"name": "f"}', ("a ", [("f", "{}")])),
    ("a <tool_call>{cut", ("a <tool_call>{cut", [])),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_pieces_give_the_same(text: str, expected: Any, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert read(MARKED, pieces) == expected


def test_text_comes_as_soon_as_it_is_no_mark() -> None:
    reader = MARKED.reader()
    assert reader.read("a <tool_")[0] == "a "
    assert reader.read("b")[0] == "<tool_b"
    assert Tools().reader().read(CALL) == (CALL, [])


def test_one_call_at_most() -> None:
    assert read(Tools(({},), "marked", parallel=False), [CALL + CALL])[1] == [("f", '{"a": 1}')]


def test_demanded_calls() -> None:
    assert read(Tools(({},), "arguments", "f"), ['{"a"', ": 1}"]) == ("", [("f", '{"a": 1}')])
    array = Tools(({},), "array")
    assert read(array, ['[{"name": "f", ', '"arguments": {"a": 1}}]']) == ("", [("f", '{"a": 1}')])
    for broken in ("{}", "[1]", "x"):
        assert read(array, [broken]) == (broken, [])


def choose(choice: Any, **more: Any) -> tuple[Tools, Sampling]:
    sampling = Sampling()
    fields = Fields({"tools": [TOOL], "tool_choice": choice, **more})
    return read_tools(fields, sampling), sampling


def test_choices() -> None:
    assert choose(None)[0].reading == choose("auto")[0].reading == "marked"
    assert choose("none")[0] == Tools()
    tools, sampling = choose({"type": "function", "function": {"name": "f"}})
    assert (tools.reading, tools.forced) == ("arguments", "f")
    assert sampling.values["structured_outputs"] == {"json": FUNCTION["parameters"]}
    tools, sampling = choose("required", parallel_tool_calls=False)
    schema = sampling.values["structured_outputs"]["json"]
    assert (tools.reading, schema["minItems"], schema["maxItems"]) == ("array", 1, 1)
    assert schema["items"]["anyOf"][0]["properties"]["name"] == {"const": "f"}
    json.dumps(schema)
    for choice in ("always", {"type": "function", "function": {"name": "g"}}, 5):
        with pytest.raises(ApiError) as caught:
            choose(choice)
        assert caught.value.param == "tool_choice"


def test_the_form_of_responses() -> None:
    flat = {"tools": [{"type": "function", **FUNCTION}], "tool_choice": {"type": "function", "name": "f"}}
    assert read_tools(Fields(flat), Sampling(), flat=True).shown == (TOOL,)
    for tools in ([{"type": "web_search"}], [1], [{"type": "function", "function": {}}]):
        with pytest.raises(ApiError, match=r"tools\[0\]"):
            read_tools(Fields({"tools": tools}), Sampling())
