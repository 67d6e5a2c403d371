"""One prompt through a language model: its responses as pieces of each answer, and what they cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.config import ModelConfig
from naiad.openai.catalogue import Entry
from naiad.openai.engine_requests import Arrays, ModelRequests
from naiad.openai.errors import ApiError, unsupported
from naiad.openai.fields import Json
from naiad.openai.sampling import Sampling

# What Triton's vLLM backend writes for an answer that goes on.
_UNFINISHED = ("", "None", "null")


@dataclass(frozen=True)
class TokenLogprob:
    """A token of the answer, and those that were likely in its place, the likeliest first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Delta:
    """What is new in one of the answers. ``finish_reason`` comes once, with the last."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass
class Usage:
    """Tokens read and written; known False: the model does not tell."""

    prompt: int = 0
    completion: int = 0
    known: bool = True

    def add(self, other: Usage) -> None:
        """Sums up."""
        self.prompt += other.prompt
        self.completion += other.completion
        self.known = self.known and other.known

    def to_json(self) -> Json | None:
        """As completions have it."""
        if not self.known:
            return None
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


@dataclass(frozen=True)
class Prompt:
    """What one model request is made of. ``images``: base64. ``logprobs``: of how many tokens in the place of
    each (0: its own alone); None: of none. ``counts``: whether the tokens are to be counted, which costs a
    little with each of them.
    """

    text: str
    sampling: Sampling
    stream: bool
    images: Sequence[str] = ()
    logprobs: int | None = None
    logprobs_param: str = "logprobs"
    counts: bool = True


@dataclass
class Generation:
    """One prompt being answered. Used once."""

    requests: ModelRequests
    entry: Entry
    prompt: Prompt
    usage: Usage = field(default_factory=Usage)
    """Complete when all deltas are there."""
    members: dict[str, Any] = field(init=False)
    """The inputs of the model's request, by name: a value, or a list of them."""

    def __post_init__(self) -> None:
        """Raises ApiError for what the model does not take."""
        config = self.entry.config
        self.usage.known = self.prompt.counts and _tells_usage(config)
        self.members = _members(config, self.prompt)

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """What the answers become, as it comes. Closed early, the request is cancelled."""
        num_answers = self.prompt.sampling.n
        finished: set[int] = set()
        num_seen = 0
        inputs = _inputs(self.entry.config, self.members)
        async with contextlib.aclosing(self.requests.stream(self.entry.name, inputs)) as responses:
            async for response in responses:
                texts = _texts(response)
                num_seen = max(num_seen, len(texts))
                reasons = _strings(response, "finish_reason")
                logprobs = _strings(response, "logprobs")
                self._count(response)
                for index, text in enumerate(texts[:num_answers]):
                    reason = _reason(reasons, index)
                    told = _logprobs(logprobs, index)
                    # Of several answers, a response has news of some only. Of one it has a token at least.
                    if index in finished or not (text or reason or told or num_answers == 1):
                        continue
                    if reason is not None:
                        finished.add(index)
                    yield Delta(index, text, reason, told)
        if num_seen < num_answers:
            raise ApiError(500, f"the model '{self.entry.name}' gave {num_seen} of {num_answers} answers")
        for index in range(num_answers):
            if index not in finished:
                yield Delta(index, "", "stop")

    def _count(self, response: Arrays) -> None:
        if "num_input_tokens" in response:
            self.usage.prompt = max(self.usage.prompt, sum(response["num_input_tokens"].reshape(-1).tolist()))
        if "num_output_tokens" in response:
            self.usage.completion += sum(response["num_output_tokens"].reshape(-1).tolist())


def check_usage(entry: Entry, param: str) -> None:
    """Refuses ``param`` where the model does not tell how many tokens it has read and written."""
    if not _tells_usage(entry.config):
        raise unsupported(
            param,
            f"needs a model with outputs num_input_tokens and num_output_tokens; '{entry.name}' has none",
        )


def _tells_usage(config: ModelConfig) -> bool:
    return all(config.output(name) is not None for name in ("num_input_tokens", "num_output_tokens"))


def _members(config: ModelConfig, prompt: Prompt) -> dict[str, Any]:
    members: dict[str, Any] = {"text_input": prompt.text}
    if config.input("sampling_parameters") is not None:
        members["sampling_parameters"] = prompt.sampling.to_json()
    else:
        for name, param in prompt.sampling.given.items():
            if name != "n" or prompt.sampling.n != 1:
                raise _lacks(config, param, "sampling_parameters")
    switches = {
        "stream": prompt.stream,
        "exclude_input_in_output": True,
        "return_finish_reason": True,
        "return_num_input_tokens": prompt.counts,
        "return_num_output_tokens": prompt.counts,
    }
    if prompt.logprobs is not None:
        if config.output("logprobs") is None or config.input("return_logprobs") is None:
            raise _lacks(config, prompt.logprobs_param, "return_logprobs")
        switches["return_logprobs"] = True
    for name, value in switches.items():
        if config.input(name) is not None:
            members[name] = value
    if prompt.images:
        if config.input("image") is None:
            raise _lacks(config, "messages", "image")
        members["image"] = list(prompt.images)
    return members


def _inputs(config: ModelConfig, members: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: _array(config, name, value) for name, value in members.items()}


def _array(config: ModelConfig, name: str, value: object) -> NDArray[Any]:
    if isinstance(value, list):
        values = np.array(value, dtype=np.object_)
        return values.reshape(1, -1) if config.max_batch_size > 0 else values
    tensor = config.input(name)
    assert tensor is not None
    kind = np.object_ if tensor.datatype == "BYTES" else np.bool_
    return np.full((1,) * len(config.wire_shape(tensor)), value, dtype=kind)


def _lacks(config: ModelConfig, param: str, tensor: str) -> ApiError:
    return unsupported(param, f"needs a model with an input '{tensor}', which '{config.name}' lacks")


def _texts(response: Arrays) -> list[str]:
    return _strings(response, "text_output")


def _strings(response: Arrays, name: str) -> list[str]:
    if name not in response:
        return []
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in response[name].reshape(-1)
    ]


def _reason(reasons: list[str], index: int) -> str | None:
    reason = reasons[index] if index < len(reasons) else ""
    if reason in _UNFINISHED:
        return None
    if reason == "abort":
        raise ApiError(503, "the model has ended the answer before its end", code="unavailable")
    return reason


def _logprobs(logprobs: list[str], index: int) -> tuple[TokenLogprob, ...]:
    if index >= len(logprobs) or not logprobs[index]:
        return ()
    steps = json.loads(logprobs[index]) or ()
    return tuple(_token(step) for step in steps if step)


def _token(step: Json) -> TokenLogprob:
    # The token that was taken comes first, those that were likely in its place behind it by rank.
    entries = [(_word(id_, entry), float(entry["logprob"])) for id_, entry in step.items()]
    token, logprob = entries[0]
    likely = sorted(step.items(), key=lambda pair: -float(pair[1]["logprob"]))
    return TokenLogprob(token, logprob, tuple((_word(id_, e), float(e["logprob"])) for id_, e in likely))


def _word(id_: str, entry: Json) -> str:
    word = entry.get("decoded_token")
    return f"token_id:{id_}" if word is None else str(word)
