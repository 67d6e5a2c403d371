"""Sampling parameters: from the fields of a request to the JSON that language models take."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from naiad.openai.errors import invalid, unsupported
from naiad.openai.fields import Fields

_MAX_ANSWERS = 128
_MAX_STOPS = 64
_MAX_TOKENS = 2**31 - 1


@dataclass
class Sampling:
    """``values``: by vLLM's names. ``given``: those that the client chose, each with the client's name."""

    values: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)

    def choose(self, name: str, value: Any, param: str) -> None:
        """A wish of the client's; None is none."""
        if value is not None:
            self.values[name] = value
            self.given[name] = param

    def default(self, name: str, value: Any) -> None:
        """What holds where the client says nothing, and where the model takes no parameters at all."""
        self.values.setdefault(name, value)

    def structure(self, constraint: dict[str, Any], param: str) -> None:
        """Constrains the answer. Once."""
        if "structured_outputs" in self.values:
            other = self.given["structured_outputs"]
            raise unsupported(param, f"cannot be combined with '{other}'")
        self.choose("structured_outputs", constraint, param)

    @property
    def n(self) -> int:
        return int(self.values.get("n", 1))

    def to_json(self) -> str:
        return json.dumps(self.values, separators=(",", ":"))


def read_sampling(fields: Fields) -> Sampling:
    """All that completions and chat completions share, vLLM's own too, but for the limit of length."""
    sampling = Sampling()
    read_temperature(fields, sampling)
    for name in ("presence_penalty", "frequency_penalty"):
        sampling.choose(name, fields.number(name, -2, 2), name)
    sampling.choose("n", fields.integer("n", 1, _MAX_ANSWERS), "n")
    sampling.choose("seed", fields.integer("seed", -(2**63), 2**63 - 1), "seed")
    sampling.choose("stop", _stop(fields), "stop")
    sampling.choose("logit_bias", _logit_bias(fields), "logit_bias")
    # Those of vLLM that OpenAI does not have.
    sampling.choose("top_k", fields.integer("top_k", -1), "top_k")
    sampling.choose("min_p", fields.number("min_p", 0, 1), "min_p")
    sampling.choose("repetition_penalty", fields.number("repetition_penalty", 0), "repetition_penalty")
    sampling.choose("min_tokens", fields.integer("min_tokens", 0), "min_tokens")
    for name in ("stop_token_ids", "allowed_token_ids"):
        sampling.choose(name, _list_of(fields, name, int, "integers"), name)
    sampling.choose("bad_words", _list_of(fields, "bad_words", str, "strings"), "bad_words")
    for name in (
        "ignore_eos",
        "include_stop_str_in_output",
        "skip_special_tokens",
        "spaces_between_special_tokens",
    ):
        if name in fields:
            sampling.choose(name, fields.boolean(name), name)
    sampling.choose("lora_name", fields.string("lora_name"), "lora_name")
    constraint = fields.object("structured_outputs")
    if constraint is not None:
        sampling.structure(constraint, "structured_outputs")
    return sampling


def read_temperature(fields: Fields, sampling: Sampling) -> None:
    """``temperature`` and ``top_p``."""
    sampling.choose("temperature", fields.number("temperature", 0, 2), "temperature")
    sampling.choose("top_p", fields.number("top_p", 0, 1), "top_p")


def read_max_tokens(fields: Fields, sampling: Sampling, *names: str) -> None:
    """The bound of an answer, by whichever of ``names`` it comes; they may not differ."""
    found = {name: value for name in names if (value := fields.integer(name, 1, _MAX_TOKENS)) is not None}
    if len(set(found.values())) > 1:
        raise invalid(next(iter(found)), f"{' and '.join(repr(name) for name in found)} differ")
    for name, value in found.items():
        sampling.choose("max_tokens", value, name)


def read_format(form: Fields, sampling: Sampling, param: str) -> None:
    """The text format of an answer; the fields of a schema stand in ``json_schema`` or beside ``type``."""
    kind = form.choice("type", ("text", "json_object", "json_schema"))
    if kind is None:
        raise invalid(form.path("type"), f"'{form.path('type')}' should be given")
    if kind == "json_schema":
        nested = form.object("json_schema")
        schema = form if nested is None else Fields(nested, form.path("json_schema"))
        # A name and a description say nothing that constrains, and a schema always holds strictly here.
        schema.ignore("name", "description", "strict")
        rules = schema.required("schema")
        if not isinstance(rules, dict):
            raise invalid(schema.path("schema"), f"'{schema.path('schema')}' should be an object")
        schema.finish()
        sampling.structure({"json": rules}, param)
    elif kind == "json_object":
        sampling.structure({"json_object": True}, param)
    form.finish()


def _stop(fields: Fields) -> list[str] | None:
    value = fields.any("stop")
    if value is None:
        return None
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise invalid("stop", "'stop' should be a string or an array of strings, none of them empty")
    if len(words) > _MAX_STOPS:
        raise invalid("stop", f"'stop' should have at most {_MAX_STOPS} strings")
    return words or None


def _logit_bias(fields: Fields) -> dict[str, float] | None:
    value = fields.object("logit_bias")
    for token, bias in (value or {}).items():
        if not (token.isascii() and token.isdecimal()):
            raise invalid("logit_bias", f"'logit_bias' should have token ids as names, not {token[:40]!r}")
        if isinstance(bias, bool) or not isinstance(bias, (int, float)) or not -100 <= bias <= 100:
            raise invalid("logit_bias", "'logit_bias' should have numbers from -100 to 100")
    return value or None


def _list_of(fields: Fields, name: str, kind: type, words: str) -> list[Any] | None:
    values = fields.items(name)
    if values is not None and not all(isinstance(each, kind) and type(each) is not bool for each in values):
        raise invalid(name, f"'{name}' should be an array of {words}")
    return values
