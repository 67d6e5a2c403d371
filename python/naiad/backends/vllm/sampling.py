"""``sampling_parameters``: JSON text to ``vllm.SamplingParams``."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from naiad.backends.vllm.framework import Framework
from naiad.errors import InvalidArgument

# What vLLM has under these names is this backend's own business, or would come back in no output.
_NOT_SERVED = frozenset(
    {
        "detokenize",
        "flat_logprobs",
        "output_kind",
        "output_text_buffer_length",
        "prompt_logprob_start",
        "prompt_logprob_token_ids",
        "prompt_logprobs",
        "routed_experts_prompt_start",
        "skip_clone",
        "trace_decode_token_ids",
    }
)


@dataclass(frozen=True)
class Sampling:
    """What a request says about its answer."""

    parameters: Any
    """``vllm.SamplingParams``."""
    adapter: str | None = None
    add_special_tokens: bool = True


class SamplingReader:
    """Reads them for one model. Any thread."""

    def __init__(self, framework: Framework, defaults: Mapping[str, Any] | None = None) -> None:
        """``defaults``: for what a request does not say, in place of vLLM's own."""
        self._framework = framework
        self._defaults = dict(defaults or {})
        hints = typing.get_type_hints(framework.sampling_type, include_extras=True)
        self._types = {
            name: hint
            for name, hint in hints.items()
            if not name.startswith("_")
            and name not in _NOT_SERVED
            and _is_field(framework.sampling_type, name)
        }
        self._adapters: dict[str, Any] = {}

    def read(self, text: str, *, stream: bool) -> Sampling:
        """``text``: a JSON object, whose values may be text themselves. Raises InvalidArgument that names
        what there is not, or is not as it has to be.
        """
        given = read_json_object(text, "sampling_parameters")
        adapter = given.pop("lora_name", None)
        if adapter is not None and not isinstance(adapter, str):
            raise InvalidArgument(f"sampling_parameters: lora_name must be text, got {adapter!r}")
        special = self._convert("add_special_tokens", bool, given.pop("add_special_tokens", True))
        kinds = self._framework.output_kinds
        values = self._defaults | {"output_kind": kinds.DELTA if stream else kinds.FINAL_ONLY}
        for name, value in given.items():
            kind = self._types.get(name)
            if kind is None:
                raise InvalidArgument(f"sampling_parameters: there is no '{name}'")
            if value is None and type(None) not in typing.get_args(kind):
                continue
            if name == "structured_outputs" and value is not None:
                value = self._constraint(value, kind)
            values[name] = self._convert(name, kind, value)
        try:
            return Sampling(self._framework.sampling_type(**values), adapter, special)
        except self._framework.client_errors as error:
            raise InvalidArgument(f"sampling_parameters: {error}") from None

    def _convert(self, name: str, kind: Any, value: Any) -> Any:
        from pydantic import TypeAdapter, ValidationError

        adapter = self._adapters.get(name)
        if adapter is None:
            adapter = self._adapters[name] = TypeAdapter(kind)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
        except self._framework.client_errors as error:
            reason = str(error)
        if isinstance(value, str):
            try:
                return adapter.validate_json(value)  # a list or an object, written as text
            except ValidationError:
                pass
        raise InvalidArgument(f"sampling_parameters: {name}: {reason}, got {_shown(value)}")

    def _constraint(self, value: Any, kind: Any) -> dict[str, Any]:
        given = read_json_object(value, "structured_outputs") if isinstance(value, str) else value
        if not isinstance(given, dict):
            raise InvalidArgument(f"structured_outputs: an object is expected, got {_shown(value)}")
        types = [each for each in (kind, *typing.get_args(kind)) if hasattr(each, "__dataclass_fields__")]
        known = {field.name for each in types for field in fields(each) if field.init}
        for name in given:
            if name not in known:
                raise InvalidArgument(
                    f"structured_outputs: there is no '{name}'; there are: {', '.join(sorted(known))}"
                )
        return given


def read_json_object(text: str, what: str) -> dict[str, Any]:
    """Raises InvalidArgument for what is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"{what}: this is no JSON text: {_shown(text)}") from None
    if not isinstance(found, dict):
        raise InvalidArgument(f"{what}: a JSON object is expected, got {_shown(text)}")
    return found


def _is_field(kind: Any, name: str) -> bool:
    return name in getattr(kind, "__struct_fields__", getattr(kind, "__dataclass_fields__", ()))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
