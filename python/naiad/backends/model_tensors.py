"""The tensors that a model itself sees: those of its clients, and those that the scheduler adds."""

from __future__ import annotations

from dataclasses import dataclass

from naiad import protos
from naiad.config import ModelConfig, TensorConfig, wire_datatype

_ITEM_SHAPE = protos.message_class("inference.BatchInput").BATCH_ITEM_SHAPE
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType")


@dataclass(frozen=True)
class ModelTensor:
    """An input or output in the model's own form."""

    name: str
    datatype: str
    """The wire name."""
    shape: tuple[int, ...]
    """With the batch dimension, as -1, where the model batches and the tensor has one; -1 is any size."""
    optional: bool = False
    is_shape_tensor: bool = False
    """As an input it has no batch dimension."""
    is_non_linear: bool = False
    has_rows: bool = False
    """Whether the first dimension is that of the batch."""


def model_inputs(config: ModelConfig) -> tuple[ModelTensor, ...]:
    """In the core's order: inputs of the configuration, controls and states of sequences, batch inputs."""
    lead = (-1,) if config.max_batch_size > 0 else ()
    found = [
        ModelTensor(
            tensor.name,
            tensor.datatype,
            _input_shape(tensor, lead),
            tensor.optional,
            tensor.is_shape_tensor,
            tensor.is_non_linear_format_io,
            has_rows=bool(lead) and not tensor.is_shape_tensor and not tensor.allow_ragged_batch,
        )
        for tensor in config.inputs
    ]
    batching = config.proto.sequence_batching
    for control_input in batching.control_input:
        for control in control_input.control:
            datatype = _control_datatype(control)
            found.append(ModelTensor(control_input.name, datatype, (*lead, 1), has_rows=bool(lead)))
    for state in batching.state:
        datatype = _wire(state.data_type)
        shape = (*lead, *state.dims)
        found.append(ModelTensor(state.input_name, datatype, shape, has_rows=bool(lead)))
    for made in config.proto.batch_input:
        for name in made.target_name:
            has_ranks = made.kind == _ITEM_SHAPE
            found.append(ModelTensor(name, _wire(made.data_type), (-1, -1) if has_ranks else (-1,)))
    return tuple(found)


def model_outputs(config: ModelConfig) -> tuple[ModelTensor, ...]:
    """In the core's order: outputs of the configuration, states that no client sees."""
    lead = (-1,) if config.max_batch_size > 0 else ()
    scattered = {name for cut in config.proto.batch_output for name in cut.target_name}
    found = [
        ModelTensor(
            tensor.name,
            tensor.datatype,
            (-1,) if tensor.name in scattered else (*lead, *_own_dims(tensor)),
            is_shape_tensor=tensor.is_shape_tensor,
            is_non_linear=tensor.is_non_linear_format_io,
        )
        for tensor in config.outputs
    ]
    known = {tensor.name for tensor in found}
    for state in config.proto.sequence_batching.state:
        if state.output_name not in known:
            found.append(ModelTensor(state.output_name, _wire(state.data_type), (*lead, *state.dims)))
    return tuple(found)


def _input_shape(tensor: TensorConfig, lead: tuple[int, ...]) -> tuple[int, ...]:
    if tensor.allow_ragged_batch:
        return (-1,)  # rows lie behind one another
    return _own_dims(tensor) if tensor.is_shape_tensor else (*lead, *_own_dims(tensor))


def _own_dims(tensor: TensorConfig) -> tuple[int, ...]:
    return tensor.dims if tensor.reshape is None else tensor.reshape


def _wire(data_type: int) -> str:
    return wire_datatype(_TYPES.values_by_number[data_type].name)


def _control_datatype(control: object) -> str:
    for field, datatype in (
        ("int32_false_true", "INT32"),
        ("fp32_false_true", "FP32"),
        ("bool_false_true", "BOOL"),
    ):
        if getattr(control, field):
            return datatype
    return _wire(getattr(control, "data_type", 0))
