"""Tools: what a request offers and demands, and the calls that a model writes, parsed as they come.

The form is that of Hermes, which most open models with tools write::

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from naiad.openai.errors import invalid, unsupported
from naiad.openai.fields import Fields, Json
from naiad.openai.sampling import Sampling

OPEN, CLOSE = "<tool_call>", "</tool_call>"
Reading = Literal["text", "marked", "array", "arguments"]


@dataclass(frozen=True)
class ToolCall:
    """A call that the model wants made. ``arguments``: JSON, as the model wrote it or close to it."""

    id: str
    name: str
    arguments: str

    def to_json(self) -> Json:
        """As chat completions have it."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


@dataclass(frozen=True)
class Tools:
    """What may be called, and how the answer is to be read.

    ``shown``: the functions as chat templates read them; empty: the model is not told of any. ``reading``:
    "text" the answer is only text; "marked" calls stand between marks in it; "array" it is a JSON array of
    calls; "arguments" it is the arguments of a call of ``forced``.
    """

    shown: tuple[Json, ...] = ()
    reading: Reading = "text"
    forced: str = ""
    parallel: bool = True
    """False: no more than the first call counts."""

    def reader(self) -> CallReader:
        """Reads one answer."""
        return CallReader(self)


def read_tools(fields: Fields, sampling: Sampling, *, flat: bool = False) -> Tools:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``. A demanded call constrains the answer.

    ``flat``: functions and choices in the form of the Responses API.
    """
    values = fields.items("tools") or []
    functions = [_function(value, f"tools[{index}]", flat) for index, value in enumerate(values)]
    choice = fields.any("tool_choice")
    parallel = fields.boolean("parallel_tool_calls", True)
    shown = tuple({"type": "function", "function": function} for function in functions)
    if choice is None:
        choice = "auto" if functions else "none"
    if choice == "none":
        return Tools()
    if not functions:
        raise invalid("tool_choice", "'tool_choice' needs 'tools'")
    if choice == "auto":
        return Tools(shown, "marked", parallel=parallel)
    if choice == "required":
        sampling.structure({"json": _calls_schema(functions, parallel)}, "tool_choice")
        return Tools(shown, "array", parallel=parallel)
    name = _chosen(choice, flat)
    named = next((function for function in functions if function["name"] == name), None)
    if named is None:
        raise invalid("tool_choice", f"'tool_choice' names a function {name!r} that is not in 'tools'")
    sampling.structure({"json": _parameters(named)}, "tool_choice")
    return Tools(shown, "arguments", str(name), parallel)


class CallReader:
    """Tells text and calls apart in one answer that comes in pieces."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._held = ""
        self._inside = False
        self._behind_call = False
        self.num_calls = 0
        """Found so far."""

    def read(self, text: str, *, last: bool = False) -> tuple[str, list[ToolCall]]:
        """What of the text so far is text, and the calls that are complete now; ``last``: no more comes."""
        text, calls = self._read(text)
        if last:
            rest, more = self.finish()
            return text + rest, calls + more
        return text, calls

    def _read(self, text: str) -> tuple[str, list[ToolCall]]:
        if self._tools.reading == "text":
            return text, []
        self._held += text
        return self._marked() if self._tools.reading == "marked" else ("", [])

    def finish(self) -> tuple[str, list[ToolCall]]:
        """The rest, when no more comes. What is no call, though it began as one, is text."""
        held, self._held = self._held, ""
        match self._tools.reading:
            case "arguments":
                return "", self._taken([_call(self._tools.forced, held)])
            case "array":
                calls = _calls_of_array(held)
                return ("", self._taken(calls)) if calls is not None else (held, [])
            case "marked" if self._inside:
                call = _call_of(held)
                return ("", self._taken([call])) if call is not None else (OPEN + held, [])
        return self._between(held), []

    def _marked(self) -> tuple[str, list[ToolCall]]:
        text, calls = "", []
        while True:
            before, found, behind = self._held.partition(CLOSE if self._inside else OPEN)
            if not found:
                break
            self._held = behind
            if not self._inside:
                text += self._between(before)
            elif (call := _call_of(before)) is not None:
                calls.append(call)
                self._behind_call = True
            else:
                text += OPEN + before + CLOSE
            self._inside = not self._inside
        # White space behind a call waits for what follows it.
        if not self._inside and not (self._behind_call and not self._held.strip()):
            kept = _begun(self._held, OPEN)
            text += self._between(self._held[: len(self._held) - kept])
            self._held = self._held[len(self._held) - kept :]
        return text, self._taken(calls)

    def _between(self, text: str) -> str:
        """Text that is no call. Of line breaks between calls and behind them models mean nothing."""
        if self._behind_call and not text.strip():
            return ""
        self._behind_call = False
        return text

    def _taken(self, calls: list[ToolCall]) -> list[ToolCall]:
        if not self._tools.parallel:
            calls = calls[: max(0, 1 - self.num_calls)]
        self.num_calls += len(calls)
        return calls


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``mark``."""
    return next(
        (size for size in range(min(len(mark) - 1, len(text)), 0, -1) if mark.startswith(text[-size:])), 0
    )


def _call(name: str, arguments: str) -> ToolCall:
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, arguments)


def _call_of(text: str) -> ToolCall | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return _call_of_value(value)


def _call_of_value(value: Any) -> ToolCall | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return _call(value["name"], arguments)


def _calls_of_array(text: str) -> list[ToolCall] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    if not isinstance(values, list):
        return None
    calls = [_call_of_value(value) for value in values]
    return [call for call in calls if call is not None] if all(calls) else None


def _function(value: Any, place: str, flat: bool) -> Json:
    if not isinstance(value, dict):
        raise invalid(place, f"'{place}' should be an object")
    if value.get("type") != "function":
        raise unsupported(f"{place}.type", "is supported with 'function' only")
    if flat:
        function = {name: each for name, each in value.items() if name != "type"}
    else:
        function = value.get("function")  # type: ignore[assignment]
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(place, f"'{place}' should have the name of a function")
    if not isinstance(function.get("parameters") or {}, dict):
        raise invalid(place, f"'{place}' should have its parameters as a JSON schema")
    return {name: each for name, each in function.items() if name != "strict" and each is not None}


def _chosen(choice: Any, flat: bool) -> str:
    function = choice if flat or not isinstance(choice, dict) else choice.get("function")
    kind = choice.get("type") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if kind != "function" or not isinstance(name, str):
        raise invalid("tool_choice", "'tool_choice' should be none, auto, required or name a function")
    return name


def _parameters(function: Json) -> Json:
    schema: Json = function.get("parameters") or {"type": "object", "properties": {}}
    return schema


def _calls_schema(functions: Sequence[Json], parallel: bool) -> Json:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": function["name"]}, "arguments": _parameters(function)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for function in functions
    ]
    schema: Json = {"type": "array", "minItems": 1, "items": {"anyOf": calls}}
    return schema if parallel else {**schema, "maxItems": 1}
