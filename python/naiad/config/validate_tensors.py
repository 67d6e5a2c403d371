"""The part of validation which is about inputs, outputs and tensors made from a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from naiad import protos
from naiad.errors import ConfigError

_TYPES = protos.pool.FindEnumTypeByName("inference.DataType").values_by_name
_BATCH_INPUT = protos.message_class("inference.BatchInput")
_BATCH_OUTPUT = protos.message_class("inference.BatchOutput")


def tensor_checks(message: Any) -> list[Callable[[], None]]:
    """Each raises ConfigError for one input, output, batch input or batch output that is wrong."""
    checks: list[Callable[[], None]] = []
    for direction in ("input", "output"):
        seen: set[str] = set()
        for index, io in enumerate(getattr(message, direction)):
            field = f"{direction}[{index}]"
            checks.append(partial(_tensor, message, io, f"model {direction}", field))
            if io.name in seen:
                checks.append(partial(_not_again, message, io, f"model {direction}", f"{field}.name"))
            seen.add(io.name)
    return [
        *checks,
        partial(_formats, message),
        partial(_batch_inputs, message),
        partial(_batch_outputs, message),
    ]


def _not_again(message: Any, io: Any, what: str, field: str) -> None:
    raise ConfigError(f"{what} '{io.name}' is specified more than once for {message.name}", field=field)


def _formats(message: Any) -> None:
    for index, io in enumerate(message.input):
        if io.format != protos.ModelInput.FORMAT_NONE and len(io.dims) != 3:
            raise ConfigError(
                f"model input NHWC/NCHW require 3 dims for {message.name}", field=f"input[{index}].format"
            )


def _tensor(message: Any, io: Any, what: str, field: str) -> None:
    if not io.name:
        raise ConfigError(f"{what} must specify 'name' for {message.name}", field=f"{field}.name")
    what = f"{what} '{io.name}'"
    if io.data_type == _TYPES["TYPE_INVALID"].number:
        raise ConfigError(f"{what} must specify 'data_type' for {message.name}", field=f"{field}.data_type")
    if not io.dims:
        raise ConfigError(f"{what} must specify 'dims' for {message.name}", field=f"{field}.dims")
    if not all(dim >= 1 or dim == -1 for dim in io.dims):
        raise ConfigError(
            f"{what} dimension must be integer >= 1, or -1 to indicate a variable-size dimension for "
            f"{message.name}",
            field=f"{field}.dims",
        )
    if io.HasField("reshape"):
        _reshape(message, io, what, f"{field}.reshape")
    if message.platform != "tensorrt_plan":
        if io.is_shape_tensor:
            raise ConfigError(
                f"shape tensors are only supported for TensorRT platform for {message.name}",
                field=f"{field}.is_shape_tensor",
            )
        if io.is_non_linear_format_io:
            raise ConfigError(
                f"Non-linear IO format is only supported for the TensorRT platform for {message.name}",
                field=f"{field}.is_non_linear_format_io",
            )


def _reshape(message: Any, io: Any, what: str, field: str) -> None:
    dims, shape = list(io.dims), list(io.reshape.shape)
    if not shape and message.max_batch_size == 0:
        raise ConfigError(
            f"{what} cannot have empty reshape for non-batching model as scalar tensors are not supported "
            f"for "
            f"{message.name}",
            field=field,
        )
    if not all(dim >= 1 or dim == -1 for dim in shape):
        raise ConfigError(
            f"{what} reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension "
            f"for "
            f"{message.name}",
            field=field,
        )
    ours, theirs = _products(dims), _products(shape)
    if (len(ours) > 1) == (len(theirs) > 1) and len(ours) != len(theirs):
        raise ConfigError(
            f"{what} has different number of variable-size dimensions for dims and reshape for "
            f"{message.name}",
            field=field,
        )
    if ours != theirs:
        raise ConfigError(f"{what} has different size for dims and reshape for {message.name}", field=field)


def _products(dims: Sequence[int]) -> list[int]:
    """Element counts of the runs between variable-size dimensions; a reshape moves no element past one."""
    runs: list[list[int]] = [[]]
    for dim in dims:
        if dim == -1:
            runs.append([])
        else:
            runs[-1].append(dim)
    return [math.prod(run) for run in runs]


def _batch_inputs(message: Any) -> None:
    names = {io.name for io in message.input}
    for index, made in enumerate(message.batch_input):
        field = f"batch_input[{index}]"
        _one_source(message, made, "input", _BATCH_INPUT.Kind.Name(made.kind), field)
        if made.data_type not in (_TYPES["TYPE_INT32"].number, _TYPES["TYPE_FP32"].number):
            raise ConfigError(
                f"batch input data type must be TYPE_INT32 or TYPE_FP32 for {message.name}",
                field=f"{field}.data_type",
            )
        _known_sources(message, made, names, field)


def _batch_outputs(message: Any) -> None:
    inputs, outputs = {io.name for io in message.input}, {io.name for io in message.output}
    seen: set[str] = set()
    for index, cut in enumerate(message.batch_output):
        field = f"batch_output[{index}]"
        _one_source(message, cut, "output", _BATCH_OUTPUT.Kind.Name(cut.kind), field)
        _known_sources(message, cut, inputs, field)
        for target in cut.target_name:
            if target not in outputs:
                raise ConfigError(
                    f"unknown target output name '{target}' for {message.name}", field=f"{field}.target_name"
                )
            if target in seen:
                raise ConfigError(
                    f"target output name '{target}' can only be specified once for {message.name}",
                    field=f"{field}.target_name",
                )
            seen.add(target)


def _one_source(message: Any, batch_io: Any, direction: str, kind: str, field: str) -> None:
    if len(batch_io.source_input) != 1:
        raise ConfigError(
            f"batch {direction} kind '{kind}' expects 1 source input, got {len(batch_io.source_input)} for "
            f"{message.name}",
            field=f"{field}.source_input",
        )


def _known_sources(message: Any, batch_io: Any, names: set[str], field: str) -> None:
    for source in batch_io.source_input:
        if source not in names:
            raise ConfigError(
                f"unknown source input name '{source}' for {message.name}", field=f"{field}.source_input"
            )
