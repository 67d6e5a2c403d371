"""What a model of vLLM takes and gives: tensors with the names that Triton has, by what the model does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naiad import protos
from naiad.config import ModelConfig
from naiad.errors import ConfigError

_KIND = protos.ModelInstanceGroup
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType").values_by_name

GENERATE = "generate"
EMBED = "embed"
CLASSIFY = "classify"
TASKS = (GENERATE, EMBED, CLASSIFY)

RETURN_FLAGS = {
    "return_finish_reason": "finish_reason",
    "return_cumulative_logprob": "cumulative_logprob",
    "return_logprobs": "logprobs",
    "return_num_input_tokens": "num_input_tokens",
    "return_num_output_tokens": "num_output_tokens",
}
"""Input -> the output that a request gets where it is true."""

POOLED_OUTPUT = {EMBED: "embedding", CLASSIFY: "probabilities"}
"""Task of a pooling model -> its output."""


@dataclass(frozen=True)
class Declared:
    """An input or output. ``dims``: the full shape."""

    name: str
    data_type: str
    dims: tuple[int, ...] = (1,)
    optional: bool = False


@dataclass(frozen=True)
class Contract:
    """All inputs and outputs of a model, in order."""

    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    decoupled: bool


_TEXT = Declared("text_input", "TYPE_STRING")

_GENERATE = Contract(
    inputs=(
        _TEXT,
        Declared("image", "TYPE_STRING", (-1,), optional=True),
        Declared("stream", "TYPE_BOOL", optional=True),
        Declared("sampling_parameters", "TYPE_STRING", optional=True),
        Declared("exclude_input_in_output", "TYPE_BOOL", optional=True),
        *(Declared(name, "TYPE_BOOL", optional=True) for name in RETURN_FLAGS),
    ),
    outputs=(
        Declared("text_output", "TYPE_STRING", (-1,)),
        Declared("finish_reason", "TYPE_STRING", (-1,)),
        Declared("cumulative_logprob", "TYPE_FP32", (-1,)),
        Declared("logprobs", "TYPE_STRING", (-1,)),
        Declared("num_input_tokens", "TYPE_UINT32"),
        Declared("num_output_tokens", "TYPE_UINT32", (-1,)),
    ),
    decoupled=True,
)


def contract(task: str) -> Contract:
    """Of a model that does this."""
    if task == GENERATE:
        return _GENERATE
    return Contract(
        inputs=(
            _TEXT,
            Declared("pooling_parameters", "TYPE_STRING", optional=True),
            Declared("return_num_input_tokens", "TYPE_BOOL", optional=True),
        ),
        outputs=(
            Declared(POOLED_OUTPUT[task], "TYPE_FP32", (-1,)),
            Declared("num_input_tokens", "TYPE_UINT32"),
        ),
        decoupled=False,
    )


def complete_config(config: ModelConfig, task: str) -> ModelConfig:
    """The configuration with the tensors that it leaves out, no batching, one engine unless it says more, and
    any number of responses where the model generates.
    """
    message = config.copy_proto()
    wanted = contract(task)
    for given, declared in ((message.input, wanted.inputs), (message.output, wanted.outputs)):
        by_name = {entry.name: entry for entry in given}
        for tensor in declared:
            entry = by_name.get(tensor.name)
            if entry is None:
                entry = given.add(name=tensor.name)
                if tensor.optional:
                    entry.optional = True
            if not entry.data_type:
                entry.data_type = _TYPES[tensor.data_type].number
            if not entry.dims:
                entry.dims.extend(tensor.dims)
    if wanted.decoupled:
        message.model_transaction_policy.decoupled = True
    if not message.instance_group:
        message.instance_group.add(name=message.name, kind=_KIND.KIND_MODEL, count=1)
    return ModelConfig(message)


def check_config(config: ModelConfig, task: str) -> None:
    """Raises ConfigError where a completed configuration is not what the model does."""
    wanted = contract(task)
    name = config.name
    if config.max_batch_size != 0:
        raise ConfigError(
            f"model '{name}': max_batch_size must be 0, got {config.max_batch_size}: vLLM forms its batches "
            "itself, token by token",
            field="max_batch_size",
        )
    if config.decoupled != wanted.decoupled:
        raise ConfigError(
            f"model '{name}': model_transaction_policy.decoupled must be {str(wanted.decoupled).lower()} for "
            f"a vLLM model whose task is '{task}'",
            field="model_transaction_policy.decoupled",
        )
    for what, given, declared in (
        ("input", config.inputs, wanted.inputs),
        ("output", config.outputs, wanted.outputs),
    ):
        known = {tensor.name: tensor for tensor in declared}
        for tensor in given:
            expected = known.pop(tensor.name, None)
            if expected is None:
                names = ", ".join(each.name for each in declared)
                raise ConfigError(
                    f"model '{name}': {what} '{tensor.name}': a vLLM model whose task is '{task}' has no "
                    f"such {what}; there are: {names}",
                    field=what,
                )
            _check_tensor(name, what, tensor, expected)
        required = [tensor.name for tensor in known.values() if what == "output" or not tensor.optional]
        if required:
            raise ConfigError(f"model '{name}': {what} '{required[0]}' is missing", field=what)


def _check_tensor(model: str, what: str, tensor: Any, expected: Declared) -> None:
    where = f"model '{model}': {what} '{tensor.name}'"
    if tensor.data_type != expected.data_type:
        raise ConfigError(
            f"{where} must be {expected.data_type}, got {tensor.data_type}", field=f"{what}.data_type"
        )
    if tensor.dims != expected.dims or tensor.reshape is not None:
        raise ConfigError(
            f"{where} must have dims {list(expected.dims)}, got {list(tensor.dims)}", field=f"{what}.dims"
        )
