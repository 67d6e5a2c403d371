"""``/v1/completions``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from naiad.openai.catalogue import Catalogue, Entry, role_of
from naiad.openai.engine_requests import ModelRequests
from naiad.openai.errors import invalid, unsupported
from naiad.openai.events import Event, Events
from naiad.openai.fields import Fields, Json
from naiad.openai.generation import Generation, Prompt, TokenLogprob, Usage, check_usage
from naiad.openai.logprobs import completion_logprobs
from naiad.openai.merge import merged
from naiad.openai.roles import Generator
from naiad.openai.sampling import read_max_tokens, read_sampling
from naiad.openai.text_files import text_of
from naiad.openai.text_models import TextModels
from naiad.openai.text_request import (
    HARMLESS,
    MAX_TOP_LOGPROBS,
    AnswerFrame,
    read_response_format,
    read_stream,
)
from naiad.openai.text_stream import REASON, TEXT, USAGE, TextFrame, TextStream

_DEFAULT_MAX_TOKENS = 16  # OpenAI's
_MAX_PROMPTS = 2048
_OBJECT = "text_completion"


@dataclass(frozen=True)
class _Plan:
    """A request that has been read. ``prompts``: the texts; each has ``num_answers`` of the choices."""

    generations: list[Generation]
    prompts: list[str]
    num_answers: int
    num_top: int | None
    echo: bool
    stream: bool
    include_usage: bool
    frame: AnswerFrame


class Completions:
    """Goes on with texts. The event loop's thread."""

    def __init__(self, catalogue: Catalogue, text_models: TextModels, requests: ModelRequests) -> None:
        self._catalogue = catalogue
        self._text_models = text_models
        self._requests = requests

    async def answer(self, body: Json) -> Json | Events | TextStream:
        """The whole answer, or the events of a stream. Raises ApiError, NaiadError."""
        plan = await self._plan(Fields(body))
        if not plan.stream:
            return await _whole(plan)
        if len(plan.generations) == plan.num_answers == 1 and plan.num_top is None and not plan.echo:
            return TextStream(plan.generations[0], _frame(plan), lambda: _chunks(plan))
        return _chunks(plan)

    async def _plan(self, fields: Fields) -> _Plan:
        entry = self._catalogue.named(fields)
        role_of(entry, Generator)
        prompts, are_ids = await read_texts(self._text_models, entry, fields.required("prompt"), "prompt")
        sampling = read_sampling(fields)
        read_max_tokens(fields, sampling, "max_tokens")
        num_top = fields.integer("logprobs", 0, MAX_TOP_LOGPROBS)
        sampling.choose("logprobs", num_top, "logprobs")
        read_response_format(fields, sampling)
        echo = fields.boolean("echo")
        if echo and num_top is not None:
            raise unsupported("echo", "cannot be combined with 'logprobs'")
        special = fields.boolean("add_special_tokens", True)
        if are_ids or not special:
            sampling.default("add_special_tokens", False)
        stream, include_usage = read_stream(fields)
        best_of = fields.integer("best_of", 1)
        if best_of is not None and best_of != sampling.n:
            raise unsupported("best_of", "is supported with the value of 'n' only")
        fields.ignore(*HARMLESS)
        fields.refuse("suffix", "prompt_logprobs")
        fields.finish()
        if include_usage:
            check_usage(entry, "stream_options.include_usage")
        sampling.default("max_tokens", _DEFAULT_MAX_TOKENS)
        counts = include_usage or not stream
        generations = [
            Generation(self._requests, entry, Prompt(text, sampling, stream, (), num_top, counts=counts))
            for text in prompts
        ]
        return _Plan(
            generations,
            prompts,
            sampling.n,
            num_top,
            echo,
            stream,
            include_usage,
            AnswerFrame.begin("cmpl", entry.name),
        )


async def read_texts(text_models: TextModels, entry: Entry, value: Any, param: str) -> tuple[list[str], bool]:
    """The texts of ``value``, and whether they came as token ids: a string, strings, ids, or lists of ids."""
    if isinstance(value, str):
        return [value], False
    if not isinstance(value, list) or not value:
        raise invalid(
            param, f"'{param}' should be a string, token ids, or an array of these that is not empty"
        )
    if all(_is_id(each) for each in value):
        value = [value]
    if len(value) > _MAX_PROMPTS:
        raise invalid(param, f"'{param}' should have at most {_MAX_PROMPTS} texts")
    if all(isinstance(each, str) for each in value):
        return value, False
    if not all(isinstance(each, list) and each and all(_is_id(id_) for id_ in each) for each in value):
        raise invalid(param, f"'{param}' should have strings only, or token ids only")
    tokenizer = await text_models.needed_tokenizer(entry, param)
    # Not on the event loop: of a million ids it takes a second.
    return await asyncio.to_thread(lambda: [text_of(tokenizer, ids, param) for ids in value]), True


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


async def _whole(plan: _Plan) -> Json:
    num = len(plan.prompts) * plan.num_answers
    texts, reasons = [""] * num, ["stop"] * num
    logprobs: list[list[TokenLogprob]] = [[] for _ in range(num)]
    async with contextlib.aclosing(merged([each.deltas() for each in plan.generations])) as deltas:
        async for prompt, delta in deltas:
            index = prompt * plan.num_answers + delta.index
            texts[index] += delta.text
            logprobs[index] += delta.logprobs
            reasons[index] = delta.finish_reason or reasons[index]
    choices = [
        {
            "index": index,
            "text": (plan.prompts[index // plan.num_answers] if plan.echo else "") + texts[index],
            "logprobs": None
            if plan.num_top is None
            else completion_logprobs(logprobs[index], plan.num_top, 0),
            "finish_reason": reasons[index],
        }
        for index in range(num)
    ]
    return plan.frame.around(_OBJECT, choices) | {"usage": _usage(plan)}


def _frame(plan: _Plan) -> TextFrame:
    choice = {"index": 0, "text": TEXT, "logprobs": None, "finish_reason": None}
    return TextFrame(
        text=_chunk(plan, choice),
        end=_chunk(plan, choice | {"finish_reason": REASON}),
        usage=plan.frame.around(_OBJECT, []) | {"usage": USAGE} if plan.include_usage else None,
        has_empty=True,
    )


def _chunk(plan: _Plan, choice: Json) -> Json:
    return plan.frame.around(_OBJECT, [choice]) | ({"usage": None} if plan.include_usage else {})


async def _chunks(plan: _Plan) -> AsyncGenerator[Event, None]:
    lengths: dict[int, int] = {}
    async with contextlib.aclosing(merged([each.deltas() for each in plan.generations])) as deltas:
        async for prompt, delta in deltas:
            index = prompt * plan.num_answers + delta.index
            echoed = plan.prompts[prompt] if plan.echo and index not in lengths else ""
            offset = lengths.get(index, 0)
            lengths[index] = offset + sum(len(each.token) for each in delta.logprobs)
            told = None
            if plan.num_top is not None and delta.logprobs:
                told = completion_logprobs(delta.logprobs, plan.num_top, offset)
            choice = {
                "index": index,
                "text": echoed + delta.text,
                "logprobs": told,
                "finish_reason": delta.finish_reason,
            }
            yield "", _chunk(plan, choice)
    if plan.include_usage:
        yield "", plan.frame.around(_OBJECT, []) | {"usage": _usage(plan)}


def _usage(plan: _Plan) -> Json | None:
    usage = Usage()
    for generation in plan.generations:
        usage.add(generation.usage)
    return usage.to_json()
