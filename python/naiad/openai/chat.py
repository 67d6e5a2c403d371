"""``/v1/chat/completions``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from naiad.openai.catalogue import Catalogue, role_of
from naiad.openai.chat_prompt import ChatPrompts, template_variables
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import unsupported
from naiad.openai.events import Event, Events
from naiad.openai.fields import Fields, Json
from naiad.openai.generation import Delta, Generation, Prompt, TokenLogprob, check_usage
from naiad.openai.logprobs import chat_logprobs
from naiad.openai.messages import read_messages
from naiad.openai.roles import Generator
from naiad.openai.sampling import read_max_tokens, read_sampling
from naiad.openai.text_request import (
    HARMLESS,
    MAX_TOP_LOGPROBS,
    AnswerFrame,
    read_response_format,
    read_stream,
)
from naiad.openai.text_stream import REASON, TEXT, USAGE, TextFrame, TextStream
from naiad.openai.tools import CallReader, ToolCall, Tools, read_tools

_CHUNK = "chat.completion.chunk"


@dataclass(frozen=True)
class _Plan:
    """A request that has been read."""

    generation: Generation
    tools: Tools
    num_answers: int
    num_top: int | None
    stream: bool
    include_usage: bool
    frame: AnswerFrame


@dataclass
class _Answer:
    """One answer as it grows."""

    reader: CallReader
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reason: str = "stop"
    begun: bool = False


class Chat:
    """Answers conversations. The event loop's thread."""

    def __init__(self, catalogue: Catalogue, prompts: ChatPrompts, requests: ModelRequests) -> None:
        self._catalogue = catalogue
        self._prompts = prompts
        self._requests = requests

    async def answer(self, body: Json) -> Json | Events | TextStream:
        """The whole answer, or the events of a stream. Raises ApiError, NaiadError."""
        plan = await self._plan(Fields(body))
        if not plan.stream:
            return await _whole(plan)
        if plan.num_answers == 1 and plan.num_top is None and plan.tools.reading == "text":
            return TextStream(plan.generation, _frame(plan), lambda: _chunks(plan))
        return _chunks(plan)

    async def _plan(self, fields: Fields) -> _Plan:
        entry = self._catalogue.named(fields)
        role_of(entry, Generator)
        conversation = read_messages(fields.required_items("messages"))
        sampling = read_sampling(fields)
        read_max_tokens(fields, sampling, "max_completion_tokens", "max_tokens")
        read_response_format(fields, sampling)
        tools = read_tools(fields, sampling)
        num_top = _read_logprobs(fields)
        if num_top is not None:
            sampling.choose("logprobs", num_top, "logprobs")
        stream, include_usage = read_stream(fields)
        variables = template_variables(fields.object("chat_template_kwargs"))
        fields.ignore(*HARMLESS)
        fields.only("store", False)
        fields.only("service_tier", "auto", "default")
        modalities = fields.items("modalities")
        if modalities not in (None, ["text"]):
            raise unsupported("modalities", "is supported with ['text'] only")
        fields.refuse(
            "audio", "functions", "function_call", "reasoning_effort", "verbosity", "web_search_options",
            "best_of",
        )  # fmt: skip
        fields.finish()
        if include_usage:
            check_usage(entry, "stream_options.include_usage")
        text = await self._prompts.prompt(entry, conversation, tools, sampling, variables=variables)
        sampling.default("max_tokens", None)
        counts = include_usage or not stream
        prompt = Prompt(text, sampling, stream, conversation.images, num_top, counts=counts)
        return _Plan(
            Generation(self._requests, entry, prompt),
            tools,
            sampling.n,
            num_top,
            stream,
            include_usage,
            AnswerFrame.begin("chatcmpl", entry.name),
        )


def _read_logprobs(fields: Fields) -> int | None:
    wanted = fields.boolean("logprobs")
    num_top = fields.integer("top_logprobs", 0, MAX_TOP_LOGPROBS)
    if num_top is not None and not wanted:
        raise unsupported("top_logprobs", "needs 'logprobs'")
    return (num_top or 0) if wanted else None


def _reason(answer: _Answer, reason: str, tools: Tools) -> str:
    """Calls are an end of their own, but for a call that was asked for by its name: as OpenAI has it."""
    if answer.reader.num_calls and reason == "stop" and tools.reading != "arguments":
        return "tool_calls"
    return reason


async def _whole(plan: _Plan) -> Json:
    answers = [_Answer(plan.tools.reader()) for _ in range(plan.num_answers)]
    async with contextlib.aclosing(plan.generation.deltas()) as deltas:
        async for delta in deltas:
            _add(answers[delta.index], delta)
    choices = []
    for index, answer in enumerate(answers):
        message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
        if answer.calls:
            message["tool_calls"] = [call.to_json() for call in answer.calls]
        elif message["content"] is None:
            message["content"] = ""
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": None if plan.num_top is None else chat_logprobs(answer.logprobs, plan.num_top),
                "finish_reason": _reason(answer, answer.reason, plan.tools),
            }
        )
    return plan.frame.around("chat.completion", choices) | {"usage": plan.generation.usage.to_json()}


def _add(answer: _Answer, delta: Delta) -> None:
    text, calls = answer.reader.read(delta.text, last=delta.finish_reason is not None)
    answer.text += text
    answer.calls += calls
    answer.logprobs += delta.logprobs
    if delta.finish_reason is not None:
        answer.reason = delta.finish_reason


def _frame(plan: _Plan) -> TextFrame:
    end = _chunk(plan, 0, {})
    end["choices"][0]["finish_reason"] = REASON
    return TextFrame(
        opening=_opening(plan, 0),
        text=_chunk(plan, 0, {"content": TEXT}),
        end=end,
        usage=plan.frame.around(_CHUNK, []) | {"usage": USAGE} if plan.include_usage else None,
    )


def _opening(plan: _Plan, index: int) -> Json:
    return _chunk(plan, index, {"role": "assistant", "content": ""})


async def _chunks(plan: _Plan) -> AsyncGenerator[Event, None]:
    answers = [_Answer(plan.tools.reader()) for _ in range(plan.num_answers)]
    async with contextlib.aclosing(plan.generation.deltas()) as deltas:
        async for delta in deltas:
            answer = answers[delta.index]
            if not answer.begun:
                answer.begun = True
                yield "", _opening(plan, delta.index)
            for event in _events(plan, answer, delta):
                yield "", event
    if plan.include_usage:
        yield "", plan.frame.around(_CHUNK, []) | {"usage": plan.generation.usage.to_json()}


def _events(plan: _Plan, answer: _Answer, delta: Delta) -> list[Json]:
    first = answer.reader.num_calls
    text, calls = answer.reader.read(delta.text, last=delta.finish_reason is not None)
    logprobs = None
    if plan.num_top is not None and delta.logprobs:
        logprobs = chat_logprobs(delta.logprobs, plan.num_top)
    events = []
    if text or logprobs is not None:
        events.append(_chunk(plan, delta.index, {"content": text}, logprobs=logprobs))
    for number, call in enumerate(calls, first):
        events.append(_chunk(plan, delta.index, {"tool_calls": [{"index": number, **call.to_json()}]}))
    if delta.finish_reason is not None:
        reason = _reason(answer, delta.finish_reason, plan.tools)
        events.append(_chunk(plan, delta.index, {}, reason=reason))
    return events


def _chunk(
    plan: _Plan, index: int, delta: Json, *, reason: str | None = None, logprobs: Json | None = None
) -> Json:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
    chunk = plan.frame.around(_CHUNK, [choice])
    return chunk | {"usage": None} if plan.include_usage else chunk
