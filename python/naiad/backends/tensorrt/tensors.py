"""The tensors of a configuration, held against those of an engine, in Triton's words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from naiad.backends.model_tensors import ModelTensor, model_inputs, model_outputs
from naiad.backends.tensorrt.contracts import Engine, EngineTensor, Shape
from naiad.backends.tensorrt.profiles import Profile, outside
from naiad.config import ModelConfig
from naiad.errors import ConfigError, Unsupported

SIZES = {
    "BOOL": 1,
    "INT8": 1,
    "UINT8": 1,
    "FP16": 2,
    "BF16": 2,
    "INT32": 4,
    "FP32": 4,
    "INT64": 8,
}
"""Bytes of an element, by the wire names of those that an engine may have as well."""
_SHAPE_DATATYPES = ("INT32", "INT64")


def size_bytes(datatype: str, shape: Shape) -> int:
    """Of a tensor whose sizes are all known."""
    return SIZES[datatype] * math.prod(shape)


def require_datatype(model: str, tensor: EngineTensor) -> None:
    """Raises Unsupported for an element type that the protocol has no name for."""
    if tensor.datatype not in SIZES:
        raise Unsupported(
            f"unsupported datatype {tensor.datatype} for {_kind(tensor)} '{tensor.name}' for model '{model}'"
        )


def check_tensors(config: ModelConfig, engine: Engine, profiles: Sequence[Profile]) -> None:
    """Raises ConfigError where configuration and engine contradict each other, Unsupported for what is not
    served.
    """
    inputs, outputs = model_inputs(config), model_outputs(config)
    engine_inputs = {tensor.name: tensor for tensor in engine.tensors if tensor.is_input}
    engine_outputs = {tensor.name: tensor for tensor in engine.tensors if not tensor.is_input}
    _check_names(config, inputs, engine_inputs, "input")
    _check_names(config, outputs, engine_outputs, "output")
    missing = [name for name in engine_inputs if name not in {tensor.name for tensor in inputs}]
    if missing:
        raise ConfigError(f"expected configuration for input '{missing[0]}' for {config.name}", field="input")
    batches = config.max_batch_size > 0
    ragged = {tensor.name for tensor in config.inputs if tensor.allow_ragged_batch}
    for given in inputs:
        tensor = engine_inputs[given.name]
        _check_tensor(config.name, given, tensor, batches)
        if given.optional:
            raise ConfigError(
                f"model '{config.name}': input '{given.name}' is optional, which an engine's input can not be"
                "",
                field="input.optional",
            )
        if given.name in ragged and not tensor.is_linear:
            raise ConfigError(
                f"unexpected allow-ragged for non-linear input '{given.name}' for {config.name}",
                field="input.allow_ragged_batch",
            )
        if not tensor.is_shape_tensor:
            _check_profiles(config.name, given, profiles)
    for given in outputs:
        _check_tensor(config.name, given, engine_outputs[given.name], batches)


def check_batch(config: ModelConfig, most: int) -> None:
    """Raises ConfigError where no profile allows ``max_batch_size`` rows, but ``most``."""
    if config.max_batch_size > most:
        raise ConfigError(
            f"unable to load model '{config.name}', configuration specified max-batch "
            f"{config.max_batch_size} but TensorRT engine only supports max-batch {most}",
            field="max_batch_size",
        )


def _check_names(
    config: ModelConfig, given: Sequence[ModelTensor], known: dict[str, EngineTensor], kind: str
) -> None:
    for tensor in given:
        if tensor.name not in known:
            allowed = ", ".join(sorted(known))
            raise ConfigError(
                f"unexpected inference {kind} '{tensor.name}', allowed {kind}s are: {allowed}", field=kind
            )


def _check_tensor(model: str, given: ModelTensor, tensor: EngineTensor, batches: bool) -> None:
    require_datatype(model, tensor)
    kind = _kind(tensor)
    _check_marks(model, given, tensor, kind)
    if given.datatype != tensor.datatype:
        role = "shape" if tensor.is_shape_tensor else "inference"
        raise ConfigError(
            f"unexpected datatype TYPE_{tensor.datatype} for {role} {kind} '{given.name}', expecting "
            f"TYPE_{given.datatype} for {model}",
            field=f"{kind}.data_type",
        )
    if tensor.is_shape_tensor:
        _check_shape_tensor(model, given, tensor, kind, batches)
    elif not fits(given.shape, tensor.shape):
        raise _wrong_dims(model, given, tensor, kind, batches)
    _check_format(model, tensor, kind)


def _check_marks(model: str, given: ModelTensor, tensor: EngineTensor, kind: str) -> None:
    place = f"{kind} '{given.name}' for model '{model}'"
    if tensor.is_shape_tensor and not given.is_shape_tensor:
        raise ConfigError(
            f"{place} is a shape tensor but the model configuration doesn't mark it as a shape tensor.",
            field=f"{kind}.is_shape_tensor",
        )
    if given.is_shape_tensor and not tensor.is_shape_tensor:
        raise ConfigError(
            f"{place} is incorrectly marked as a shape tensor in the model configuration.",
            field=f"{kind}.is_shape_tensor",
        )
    if given.is_non_linear == tensor.is_linear:
        layout = "linear" if tensor.is_linear else "non-linear"
        raise ConfigError(
            f"{place} uses a {layout} IO format, but 'is_non_linear_format_io' is incorrectly set to "
            f"{str(given.is_non_linear).lower()} in the model configuration.",
            field=f"{kind}.is_non_linear_format_io",
        )


def _check_shape_tensor(
    model: str, given: ModelTensor, tensor: EngineTensor, kind: str, batches: bool
) -> None:
    if tensor.datatype not in _SHAPE_DATATYPES:
        raise ConfigError(
            f"unexpected datatype TYPE_{tensor.datatype} in model configuration for shape {kind} "
            f"'{given.name}', expecting TYPE_INT32 or TYPE_INT64 for {model}",
            field=f"{kind}.data_type",
        )
    if len(tensor.shape) > 1:
        raise Unsupported(
            f"unable to load model '{model}', shape binding '{given.name}' can only be 0-d or 1-D tensor, "
            f"got {_written(tensor.shape)}"
        )
    own = given.shape[1:] if batches and kind == "output" else given.shape
    first = 1 if batches else 0  # the number of rows, which no client sees
    expected = tuple(size - first for size in tensor.shape) or (1,)
    if own != expected:
        raise ConfigError(
            f"unable to load model '{model}', binding '{given.name}' shape expected by framework "
            f"{_written(tensor.shape)} doesn't match model configuration shape {_written(own)}",
            field=f"{kind}.dims",
        )


def _check_format(model: str, tensor: EngineTensor, kind: str) -> None:
    """A tensor whose last vector is not full would have more bytes than its shape says."""
    if tensor.is_linear:
        return
    along = tensor.shape[tensor.vectorized_dim] if tensor.vectorized_dim >= 0 else 0
    if tensor.format.startswith("DLA_") or along % tensor.vector_size or along < 0:
        raise Unsupported(
            f"model '{model}': {kind} '{tensor.name}' has the format {tensor.format}, in which a tensor of "
            f"shape {_written(tensor.shape)} is padded: such are not served"
        )


def _check_profiles(model: str, given: ModelTensor, profiles: Sequence[Profile]) -> None:
    for profile in profiles:
        allowed = profile.shapes[given.name]
        wrong = outside(given.shape, allowed) if allowed.most else ""
        if wrong:
            raise ConfigError(
                f"model configuration specified invalid shape for input '{given.name}' for model {model}. "
                f"Error details: {wrong}",
                field="input.dims",
            )


def fits(given: Shape, own: Shape) -> bool:
    """Whether sizes agree where both say one. A scalar is [1] in a configuration."""
    if given == (1,) and not own:
        return True
    return len(given) == len(own) and all(-1 in (a, b) or a == b for a, b in zip(given, own, strict=True))


def _wrong_dims(
    model: str, given: ModelTensor, tensor: EngineTensor, kind: str, batches: bool
) -> ConfigError:
    place = f"model '{model}', tensor '{given.name}'"
    if batches and not tensor.shape:
        text = (
            f"{place}: for the model to support batching the shape should have at least 1 dimension; but "
            "shape expected by the model is []"
        )
        return ConfigError(text, field=f"{kind}.dims")
    text = (
        f"{place}: the model expects {len(tensor.shape)} dimensions (shape {_written(tensor.shape)}) but the "
        f"model configuration specifies {len(given.shape)} dimensions ("
    )
    if batches:
        text += (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, "
            f"making complete shape {_written(given.shape)})"
        )
    else:
        text += f"shape {_written(given.shape)})"
    return ConfigError(text, field=f"{kind}.dims")


def _kind(tensor: EngineTensor) -> str:
    return "input" if tensor.is_input else "output"


def _written(shape: Shape) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
