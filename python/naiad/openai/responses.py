"""``/v1/responses``: text and calls of functions, whole or as events. Nothing is stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from naiad.errors import NaiadError
from naiad.openai.catalogue import Catalogue, role_of
from naiad.openai.chat_prompt import ChatPrompts
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import ApiError, api_error, unsupported
from naiad.openai.events import Event, Events
from naiad.openai.fields import Fields, Json
from naiad.openai.generation import Delta, Generation, Prompt, Usage
from naiad.openai.logprobs import chat_logprobs
from naiad.openai.response_items import call_item, message_item, new_id, read_input, text_part
from naiad.openai.roles import Generator
from naiad.openai.sampling import Sampling, read_format, read_max_tokens, read_temperature
from naiad.openai.text_request import HARMLESS, MAX_TOP_LOGPROBS
from naiad.openai.tools import ToolCall, Tools, read_tools

_LOGPROBS = "message.output_text.logprobs"


@dataclass(frozen=True)
class _Plan:
    """A request that has been read. ``shown``: what the response repeats of it."""

    generation: Generation
    tools: Tools
    num_top: int | None
    shown: Json
    id: str = field(default_factory=lambda: new_id("resp"))
    created: int = field(default_factory=lambda: int(time.time()))

    def response(self, status: str, output: list[Json], **more: object) -> Json:
        """The response object as it stands."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": output,
            "usage": None,
            **self.shown,
            **more,
        }

    def ended(self, reason: str, output: list[Json]) -> Json:
        """The response at its end."""
        usage = _usage(self.generation.usage)
        if reason == "length":
            cut = {"reason": "max_output_tokens"}
            return self.response("incomplete", output, incomplete_details=cut, usage=usage)
        return self.response("completed", output, usage=usage)


class Responses:
    """Answers inputs. The event loop's thread."""

    def __init__(self, catalogue: Catalogue, prompts: ChatPrompts, requests: ModelRequests) -> None:
        self._catalogue = catalogue
        self._prompts = prompts
        self._requests = requests

    async def answer(self, body: Json) -> Json | Events:
        """The response, or the events of its making. Raises ApiError, NaiadError."""
        fields = Fields(body)
        stream = fields.boolean("stream")
        plan = await self._plan(fields, stream)
        return _numbered(_events(plan)) if stream else await _whole(plan)

    async def _plan(self, fields: Fields, stream: bool) -> _Plan:
        entry = self._catalogue.named(fields)
        role_of(entry, Generator)
        fields.refuse("previous_response_id", "conversation", "prompt", "reasoning", "max_tool_calls")
        instructions = fields.string("instructions")
        conversation = read_input(fields.required("input"), instructions)
        sampling = Sampling()
        read_temperature(fields, sampling)
        read_max_tokens(fields, sampling, "max_output_tokens")
        shown: Json = {
            "model": entry.name,
            "instructions": instructions,
            "temperature": sampling.values.get("temperature", 1.0),
            "top_p": sampling.values.get("top_p", 1.0),
            "max_output_tokens": sampling.values.get("max_tokens"),
            "text": _read_text(fields, sampling),
        }
        shown |= _shown_tools(fields)
        tools = read_tools(fields, sampling, flat=True)
        num_top = _read_logprobs(fields)
        if num_top is not None:
            sampling.choose("logprobs", num_top, "include")
        shown["metadata"] = fields.object("metadata") or {}
        fields.ignore(*HARMLESS)
        fields.only("store", False)
        fields.only("background", False)
        fields.only("truncation", "disabled")
        fields.only("service_tier", "auto", "default")
        options = fields.object("stream_options")
        if options is not None:
            inner = Fields(options, "stream_options")
            inner.ignore("include_obfuscation")
            inner.finish()
        fields.finish()
        shown |= {"store": False, "background": False, "truncation": "disabled", "previous_response_id": None}
        text = await self._prompts.prompt(entry, conversation, tools, sampling)
        sampling.default("max_tokens", None)
        prompt = Prompt(text, sampling, stream, conversation.images, num_top, "include")
        return _Plan(Generation(self._requests, entry, prompt), tools, num_top, shown)


def _read_text(fields: Fields, sampling: Sampling) -> Json:
    given = fields.object("text") or {}
    text = Fields(given, "text")
    form = text.object("format") or {"type": "text"}
    read_format(Fields(form, "text.format"), sampling, "text.format")
    text.refuse("verbosity")
    text.finish()
    return {"format": form}


def _shown_tools(fields: Fields) -> Json:
    return {
        "tools": fields.peek("tools") or [],
        "tool_choice": fields.peek("tool_choice") or "auto",
        "parallel_tool_calls": fields.peek("parallel_tool_calls") is not False,
    }


def _read_logprobs(fields: Fields) -> int | None:
    wanted = fields.items("include") or []
    for name in wanted:
        if name != _LOGPROBS:
            raise unsupported("include", f"is supported with '{_LOGPROBS}' only")
    num_top = fields.integer("top_logprobs", 0, MAX_TOP_LOGPROBS)
    if num_top and not wanted:
        raise unsupported("top_logprobs", f"needs 'include' with '{_LOGPROBS}'")
    return (num_top or 0) if wanted else None


def _usage(usage: Usage) -> Json | None:
    if not usage.known:
        return None
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }


async def _whole(plan: _Plan) -> Json:
    response: Json = {}
    async with contextlib.aclosing(_events(plan)) as events:
        async for _, event in events:
            response = event.get("response", response)
    return response


async def _numbered(events: Events) -> AsyncGenerator[Event, None]:
    """With its name and number in each."""
    number = 0
    async with contextlib.aclosing(events):
        async for name, data in events:
            yield name, {"type": name, "sequence_number": number, **data}
            number += 1


async def _events(plan: _Plan) -> AsyncGenerator[Event, None]:
    output = _Output(plan)
    reason = ""
    begun = False
    async with contextlib.aclosing(plan.generation.deltas()) as deltas:
        try:
            async for delta in deltas:
                if not begun:
                    # Only now: what refuses the request is an error and no event.
                    begun = True
                    yield "response.created", {"response": plan.response("in_progress", [])}
                    yield "response.in_progress", {"response": plan.response("in_progress", [])}
                reason = delta.finish_reason or reason
                for event in output.add(delta):
                    yield event
        except (NaiadError, ApiError) as error:
            if not begun or not plan.generation.prompt.stream:
                raise
            told = api_error(error)
            failure = {"code": told.code or "server_error", "message": told.message}
            yield "response.failed", {"response": plan.response("failed", output.items, error=failure)}
            return
    for event in output.end("incomplete" if reason == "length" else "completed"):
        yield event
    name = "response.incomplete" if reason == "length" else "response.completed"
    yield name, {"response": plan.ended(reason, output.items)}


class _Output:
    """The items of the output as they grow, and the events that tell of it."""

    def __init__(self, plan: _Plan) -> None:
        self.items: list[Json] = []
        """Those that are complete."""
        self._reader = plan.tools.reader()
        self._num_top = plan.num_top
        self._message = ""
        self._text = ""
        self._logprobs: list[Json] = []

    def add(self, delta: Delta) -> list[Event]:
        """What the model has said and wants called now."""
        text, calls = self._reader.read(delta.text, last=delta.finish_reason is not None)
        logprobs = [] if self._num_top is None else chat_logprobs(delta.logprobs, self._num_top)["content"]
        events: list[Event] = []
        if text or logprobs:
            if not self._message:
                events += self._begin()
            self._text += text
            self._logprobs += logprobs
            data = {**self._place(), "delta": text, "logprobs": logprobs}
            events.append(("response.output_text.delta", data))
        for call in calls:
            events += self._close("completed")
            events += self._call(call)
        return events

    def end(self, status: str) -> list[Event]:
        """There is no more. An answer with nothing in it is an empty message."""
        events = [] if self.items or self._message else self._begin()
        return events + self._close(status)

    def _place(self) -> Json:
        return {"item_id": self._message, "output_index": len(self.items), "content_index": 0}

    def _begin(self) -> list[Event]:
        self._message, self._text, self._logprobs = new_id("msg"), "", []
        item = message_item(self._message, "", "in_progress", [])
        return [
            ("response.output_item.added", {"output_index": len(self.items), "item": item}),
            ("response.content_part.added", {**self._place(), "part": text_part("", [])}),
        ]

    def _close(self, status: str) -> list[Event]:
        if not self._message:
            return []
        item = message_item(self._message, self._text, status, self._logprobs)
        place = self._place()
        events: list[Event] = [
            ("response.output_text.done", {**place, "text": self._text, "logprobs": self._logprobs}),
            ("response.content_part.done", {**place, "part": item["content"][0]}),
            ("response.output_item.done", {"output_index": len(self.items), "item": item}),
        ]
        self.items.append(item)
        self._message = ""
        return events

    def _call(self, call: ToolCall) -> list[Event]:
        id_, index = new_id("fc"), len(self.items)
        item = call_item(id_, call)
        self.items.append(item)
        place = {"item_id": id_, "output_index": index}
        return [
            (
                "response.output_item.added",
                {"output_index": index, "item": call_item(id_, call, "in_progress")},
            ),
            ("response.function_call_arguments.delta", {**place, "delta": call.arguments}),
            (
                "response.function_call_arguments.done",
                {**place, "name": call.name, "arguments": call.arguments},
            ),
            ("response.output_item.done", {"output_index": index, "item": item}),
        ]
