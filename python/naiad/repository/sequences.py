"""From ``sequence_batching`` to what the core wants to know: when sequences run, and the tensors between the
scheduler and the model, which no client names.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from naiad import protos
from naiad.config import ModelConfig, wire_datatype
from naiad.engine import SequenceSpec, TensorSpec
from naiad.errors import ConfigError

_CONTROL = protos.message_class("inference.ModelSequenceBatching.Control")
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType")
_BYTES_OF = {
    **dict.fromkeys(("BOOL", "INT8", "UINT8"), 1),
    **dict.fromkeys(("INT16", "UINT16", "FP16", "BF16"), 2),
    **dict.fromkeys(("INT32", "UINT32", "FP32"), 4),
    **dict.fromkeys(("INT64", "UINT64", "FP64"), 8),
}
INITIAL_STATE_DIRECTORY = "initial_state"


@dataclass
class SequenceTensors:
    """The tensors that follow the client's in a model's inputs and outputs, and what the core is told."""

    spec: SequenceSpec
    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[TensorSpec] = field(default_factory=list)


def sequence_tensors(config: ModelConfig, read: Callable[[str], bytes]) -> SequenceTensors | None:
    """None without ``sequence_batching``. ``read`` gives the bytes of a file of the model's directory by
    its name there.

    Raises ConfigError for what does not fit together, InvalidArgument for a file outside of the model.
    """
    if not config.proto.HasField("sequence_batching"):
        return None
    tensors = SequenceTensors(_spec(config.proto.sequence_batching))
    lead = (1,) if config.max_batch_size > 0 else ()
    for control in config.proto.sequence_batching.control_input:
        _add_control(tensors, config, control, lead)
    for state in config.proto.sequence_batching.state:
        _add_state(tensors, config, state, lead, read)
    return tensors


def _spec(batching: Any) -> SequenceSpec:
    direct = batching.WhichOneof("strategy_choice") != "oldest"
    strategy = batching.direct if direct else batching.oldest
    return SequenceSpec(
        direct=direct,
        iterative=batching.iterative_sequence,
        max_candidates=0 if direct else max(0, batching.oldest.max_candidate_sequences),
        min_slot_utilization=batching.direct.minimum_slot_utilization if direct else 0.0,
        preferred_batch_sizes=() if direct else tuple(batching.oldest.preferred_batch_size),
        max_queue_delay_us=strategy.max_queue_delay_microseconds,
        preserve_ordering=not direct and batching.oldest.preserve_ordering,
        max_idle_us=batching.max_sequence_idle_microseconds,
    )


def _add_control(
    tensors: SequenceTensors, config: ModelConfig, control_input: Any, lead: tuple[int, ...]
) -> None:
    name = control_input.name
    _refuse_taken(config, tensors, name)
    if len(control_input.control) != 1:
        raise ConfigError(
            f"sequence batching control tensor '{name}' must have one control for {config.name}, "
            f"got {len(control_input.control)}",
            field="sequence_batching.control_input.control",
        )
    control = control_input.control[0]
    kind = _CONTROL.Kind.Name(control.kind)
    datatype, values = _control_values(control)
    tensors.spec.add_control(
        kind.removeprefix("CONTROL_SEQUENCE_"),
        len(config.inputs) + len(tensors.inputs),
        datatype=datatype,
        shape=(*lead, 1),
        values=values,
    )
    tensors.inputs.append(TensorSpec(name, datatype, (1,), internal=True))


def _control_values(control: Any) -> tuple[str, tuple[bytes, ...]]:
    """The datatype of a control, and its bytes for false and true; none of a correlation id."""
    if control.int32_false_true:
        return "INT32", tuple(struct.pack("<i", value) for value in control.int32_false_true)
    if control.fp32_false_true:
        return "FP32", tuple(struct.pack("<f", value) for value in control.fp32_false_true)
    if control.bool_false_true:
        return "BOOL", tuple(struct.pack("<?", value) for value in control.bool_false_true)
    return wire_datatype(_TYPES.values_by_number[control.data_type].name), ()


def _add_state(
    tensors: SequenceTensors,
    config: ModelConfig,
    state: Any,
    lead: tuple[int, ...],
    read: Callable[[str], bytes],
) -> None:
    _refuse_taken(config, tensors, state.input_name)
    datatype = wire_datatype(_TYPES.values_by_number[state.data_type].name)
    dims = tuple(state.dims)
    output = next((i for i, tensor in enumerate(config.outputs) if tensor.name == state.output_name), None)
    if output is None:
        output = len(config.outputs) + len(tensors.outputs)
        tensors.outputs.append(TensorSpec(state.output_name, datatype, dims, internal=True))
    initial_dims, initial = _initial_state(config, state, datatype, read)
    tensors.spec.add_state(
        len(config.inputs) + len(tensors.inputs),
        output,
        datatype=datatype,
        shape=(*lead, *initial_dims),
        initial=initial,
    )
    tensors.inputs.append(TensorSpec(state.input_name, datatype, dims, internal=True))


def _initial_state(
    config: ModelConfig, state: Any, datatype: str, read: Callable[[str], bytes]
) -> tuple[tuple[int, ...], bytes]:
    """Its dims and its bytes: what is said, and otherwise zeros, one for each size that is free."""
    initial = state.initial_state[0] if state.initial_state else None
    given = tuple(initial.dims) if initial is not None and initial.dims else tuple(state.dims)
    dims = tuple(1 if dim < 0 else dim for dim in given)
    where = f"the initial state of '{state.input_name}' for {config.name}"
    if initial is not None and wire_datatype(_TYPES.values_by_number[initial.data_type].name) != datatype:
        raise ConfigError(
            f"{where} must have the data type of the state", field="sequence_batching.state.initial_state"
        )
    if len(dims) != len(state.dims) or any(
        fixed not in (-1, dim) for fixed, dim in zip(state.dims, dims, strict=True)
    ):
        raise ConfigError(
            f"{where} has dims {list(dims)}, which do not fit the state's {list(state.dims)}",
            field="sequence_batching.state.initial_state.dims",
        )
    size = math.prod(dims) * _BYTES_OF.get(datatype, 4)  # of texts: that many empty ones
    if initial is None or initial.WhichOneof("state_data") != "data_file":
        return dims, bytes(size)
    try:
        content = read(f"{INITIAL_STATE_DIRECTORY}/{initial.data_file}")
    except OSError as error:
        raise ConfigError(
            f"{where}: file '{initial.data_file}' can not be read: {error.strerror}",
            field="sequence_batching.state.initial_state.data_file",
        ) from error
    if datatype != "BYTES" and len(content) != size:
        raise ConfigError(
            f"{where}: file '{initial.data_file}' has {len(content)} bytes, expected {size}",
            field="sequence_batching.state.initial_state.data_file",
        )
    return dims, content


def _refuse_taken(config: ModelConfig, tensors: SequenceTensors, name: str) -> None:
    taken = [tensor.name for tensor in config.inputs] + [tensor.name for tensor in tensors.inputs]
    if name in taken:
        raise ConfigError(
            f"sequence batching tensor '{name}' is an input already for {config.name}",
            field="sequence_batching",
        )
