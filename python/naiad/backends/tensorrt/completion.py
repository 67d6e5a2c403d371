"""What an engine tells of a configuration that leaves something out: tensors, batching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from naiad.backends.tensorrt.contracts import Engine, EngineTensor
from naiad.backends.tensorrt.profiles import profile_indices
from naiad.backends.tensorrt.tensors import require_datatype
from naiad.config import (
    FoundTensor,
    FoundTensors,
    ModelConfig,
    complete_scheduler,
    config_data_type,
    fill_tensors,
)
from naiad.errors import ConfigError


def complete(message: Any, engine: Engine) -> None:
    """Fills the message in, as Triton does. Raises ConfigError where it contradicts the engine."""
    by_name = {tensor.name: tensor for tensor in engine.tensors}
    _complete_batching(message, engine, by_name)
    batches = message.max_batch_size > 0
    for io in (*message.input, *message.output):
        _check_marks(io, by_name)
    fill_tensors(
        message,
        FoundTensors(
            inputs=_found(message, engine.tensors, batches, inputs=True),
            outputs=_found(message, engine.tensors, batches, inputs=False),
        ),
    )
    for io in (*message.input, *message.output):
        tensor = by_name.get(io.name)
        if tensor is not None:
            io.is_shape_tensor = tensor.is_shape_tensor
            io.is_non_linear_format_io = not tensor.is_linear


def _complete_batching(message: Any, engine: Engine, by_name: Mapping[str, EngineTensor]) -> None:
    most = most_rows(engine, _profiles(message, engine))
    hint = _hint(message, by_name)
    if hint and most == 0:
        raise ConfigError(
            f"autofill failed for model '{message.name}': model tensor shape configuration hints for dynamic "
            "batching but the underlying engine doesn't support batching.",
            field="max_batch_size",
        )
    if hint is False:
        most = 0
    if message.max_batch_size > most:
        raise ConfigError(
            f"autofill failed for model '{message.name}': configuration specified max-batch "
            f"{message.max_batch_size} but TensorRT engine only supports max-batch {most}",
            field="max_batch_size",
        )
    if message.max_batch_size == 0:
        message.max_batch_size = most
    complete_scheduler(message)


def most_rows(engine: Engine, profiles: Iterable[int]) -> int:
    """The rows that the largest of these profiles allows; 0 where the engine does not batch."""
    if not all(tensor.is_shape_tensor or tensor.shape[:1] == (-1,) for tensor in engine.tensors):
        return 0
    largest = 0
    for profile in profiles:
        allowed = []
        for tensor in engine.tensors:
            if not tensor.is_input:
                continue
            of_values = engine.values(tensor.name, profile) if tensor.is_shape_tensor else None
            limits = of_values if tensor.is_shape_tensor else engine.shapes(tensor.name, profile)
            if limits is not None and limits.most:
                allowed.append(limits.most[0])
        largest = max(largest, min(allowed, default=0))
    return largest


def _profiles(message: Any, engine: Engine) -> set[int]:
    found: set[int] = set()
    for group in ModelConfig(message).instance_groups:
        found |= {index for _, index in profile_indices(message.name, group, engine.num_profiles)}
    return found or {0}


def _hint(message: Any, by_name: Mapping[str, EngineTensor]) -> bool | None:
    """Whether the dims of the configuration leave a batch dimension out; None where there are none."""
    said: set[bool] = set()
    for io in (*message.input, *message.output):
        tensor = by_name.get(io.name)
        if tensor is None or not io.dims or getattr(io, "allow_ragged_batch", False):
            continue
        dims = tuple(io.reshape.shape) if io.HasField("reshape") else tuple(io.dims)
        if tensor.is_shape_tensor:
            said.add(tensor.shape == (dims[0] + 1,))
        else:
            said.add(len(tensor.shape) == len(dims) + 1)
    if len(said) > 1:
        raise ConfigError(
            f"unable to autofill for '{message.name}', model tensor configurations are contradicting each "
            "other in terms of whether batching is supported",
            field="input.dims, output.dims",
        )
    return next(iter(said), None)


def _check_marks(io: Any, by_name: Mapping[str, EngineTensor]) -> None:
    tensor = by_name.get(io.name)
    if tensor is None:
        return
    if io.is_shape_tensor and not tensor.is_shape_tensor:
        raise ConfigError(f"'{io.name}' is incorrectly specified as a shape tensor.", field="is_shape_tensor")
    if io.is_non_linear_format_io and tensor.is_linear:
        raise ConfigError(
            f"'{io.name}' uses a linear IO format, but 'is_non_linear_format_io' is incorrectly set to true "
            "in the model configuration.",
            field="is_non_linear_format_io",
        )


def _found(
    message: Any, tensors: Sequence[EngineTensor], batches: bool, *, inputs: bool
) -> tuple[FoundTensor, ...]:
    found = []
    for tensor in tensors:
        if tensor.is_input != inputs:
            continue
        require_datatype(message.name, tensor)
        shape = tensor.shape
        if tensor.is_shape_tensor and batches:
            # The first value is the number of rows, which the configuration leaves out, as it does a first
            # dimension of others.
            shape = (-1, *(size - 1 for size in shape))
        found.append(FoundTensor(tensor.name, config_data_type(tensor.datatype), shape))
    return tuple(found)
