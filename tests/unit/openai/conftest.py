"""Models of the catalogue, and what answers their requests, as fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import NaiadError, NotFound
from naiad.openai.catalogue import Entry
from naiad.openai.roles import find_role


@dataclass(eq=False)
class Served:
    name: str
    config: ModelConfig
    version: int = 1


def config(text: str, name: str = "m") -> ModelConfig:
    message = parse_pbtxt(text.encode(), file="config.pbtxt")
    message.name = name
    return ModelConfig(message)


def tensor(name: str, kind: str, dims: str, more: str = "") -> str:
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: [ {dims} ] {more} }}'


def language(*inputs: str, outputs: tuple[str, ...] = (), name: str = "m") -> ModelConfig:
    """A language model with these optional inputs and further outputs."""
    kinds = {"stream": "BOOL", "num_input_tokens": "UINT32", "num_output_tokens": "UINT32"}
    given = [tensor("text_input", "STRING", "1")]
    for each in inputs:
        kind = "BOOL" if each.startswith(("return_", "exclude_")) else kinds.get(each, "STRING")
        given.append(tensor(each, kind, "-1" if each == "image" else "1", "optional: true"))
    made = [tensor("text_output", "STRING", "-1")]
    made += [tensor(each, kinds.get(each, "STRING"), "-1") for each in outputs]
    text = f"input [ {', '.join(given)} ]\noutput [ {', '.join(made)} ]\n"
    return config(text + "model_transaction_policy { decoupled: true }", name)


FULL = language(
    "sampling_parameters",
    "stream",
    "exclude_input_in_output",
    "return_finish_reason",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
    "image",
    outputs=("finish_reason", "logprobs", "num_input_tokens", "num_output_tokens"),
)


def entry(model: ModelConfig = FULL) -> Entry:
    role = find_role(model)
    assert role is not None
    return Entry(Served(model.name, model), role)


@dataclass
class FakeRepository:
    models: dict[str, ModelConfig] = field(default_factory=dict)
    ready: bool = True

    def find(self, name: str, version: str = "") -> Any:
        if name not in self.models:
            raise NotFound(f"no {name}")
        return Served(name, self.models[name])

    def is_ready(self, name: str, version: str = "") -> bool:
        return self.ready

    def must_summon(self, name: str) -> bool:
        return False

    def loaded(self) -> list[Any]:
        return [Served(name, model) for name, model in self.models.items()]


@dataclass
class FakeRequests:
    """Answers with what it is given; keeps what it was asked."""

    responses: list[dict[str, list[Any]]] = field(default_factory=list)
    failure: NaiadError | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    closed: int = 0

    async def stream(self, model: str, inputs: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(dict(inputs))
        try:
            for response in self.responses:
                yield {
                    name: np.array(
                        [value.encode() if isinstance(value, str) else value for value in values],
                        dtype=np.object_ if isinstance(values[0], str) else np.uint32,
                    )
                    for name, values in response.items()
                }
            if self.failure is not None:
                raise self.failure
        finally:
            self.closed += 1

    async def infer(self, model: str, inputs: Mapping[str, Any], output: str) -> Any:
        raise NotImplementedError
