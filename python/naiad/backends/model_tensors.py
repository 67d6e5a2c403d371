"""The tensors that a model itself sees: those of its clients, and those that the scheduler adds."""

from __future__ import annotations

from dataclasses import dataclass

from naiad import protos
from naiad.config import ModelConfig, TensorConfig, wire_datatype

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


def model_inputs(config: ModelConfig) -> tuple[ModelTensor, ...]:
    """In the core's order: inputs of the configuration, controls and states of sequences, batch inputs."""
    lead = (-1,) if config.max_batch_size > 0 else ()
    found = [
        ModelTensor(
            tensor.name,
            tensor.datatype,
            # Ragged rows lie behind one another.
            (-1,) if tensor.allow_ragged_batch else (*lead, *_own_dims(tensor)),
            tensor.optional,
        )
        for tensor in config.inputs
    ]
    batching = config.proto.sequence_batching
    for control_input in batching.control_input:
        for control in control_input.control:
            found.append(ModelTensor(control_input.name, _control_datatype(control), (*lead, 1)))
    for state in batching.state:
        found.append(ModelTensor(state.input_name, _wire(state.data_type), (*lead, *state.dims)))
    for made in config.proto.batch_input:
        for name in made.target_name:
            found.append(ModelTensor(name, _wire(made.data_type), (-1,)))
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
        )
        for tensor in config.outputs
    ]
    known = {tensor.name for tensor in found}
    for state in config.proto.sequence_batching.state:
        if state.output_name not in known:
            found.append(ModelTensor(state.output_name, _wire(state.data_type), (*lead, *state.dims)))
    return tuple(found)


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
