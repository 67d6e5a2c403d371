"""How much memory the tensors of an engine need, for the largest batch that an instance runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from naiad.backends.model_tensors import ModelTensor
from naiad.backends.tensorrt.bound import BoundContext
from naiad.backends.tensorrt.contracts import Engine, EngineTensor, Range, Shape
from naiad.backends.tensorrt.tensors import size_bytes
from naiad.config import ModelConfig


def largest_shape(given: ModelTensor, allowed: Range, max_batch_size: int) -> Shape:
    """Of an input: what the configuration fixes, and else the most of a profile."""
    if len(given.shape) != len(allowed.most):
        return allowed.most  # a scalar
    sizes = [high if size == -1 else size for size, high in zip(given.shape, allowed.most, strict=True)]
    if max_batch_size and given.has_rows:
        sizes[0] = min(max_batch_size, allowed.most[0])
    return tuple(sizes)


def buffer_sizes(
    config: ModelConfig,
    engine: Engine,
    contexts: Sequence[BoundContext],
    inputs: Mapping[str, ModelTensor],
) -> list[tuple[EngineTensor, int]]:
    """The most bytes of each tensor, over the profiles of the contexts, whose shapes are the largest then.
    0 where the engine can not say.
    """
    most: dict[str, int] = {tensor.name: 0 for tensor in engine.tensors}
    knows_values = not any(tensor.is_input and tensor.is_shape_tensor for tensor in engine.tensors)
    for bound in contexts:
        shapes: dict[str, Shape] = {}
        for tensor in engine.tensors:
            if not tensor.is_input:
                continue
            if tensor.is_shape_tensor:
                size = size_bytes(tensor.datatype, tensor.shape)
            else:
                shapes[tensor.name] = largest_shape(
                    inputs[tensor.name], bound.profile.shapes[tensor.name], config.max_batch_size
                )
                size = size_bytes(tensor.datatype, shapes[tensor.name])
            most[tensor.name] = max(most[tensor.name], size)
        bound.set_shapes(shapes)
        for tensor in engine.tensors:
            if tensor.is_input:
                continue
            size = bound.output_bytes(tensor.name) if knows_values else -1
            if size < 0 and not tensor.is_dynamic:
                size = size_bytes(tensor.datatype, tensor.shape)
            most[tensor.name] = max(most[tensor.name], size)
    return [(tensor, most[tensor.name]) for tensor in engine.tensors]
