"""The part of validation which is about the sequence batcher and its control inputs."""

from __future__ import annotations

from typing import Any

from naiad import protos
from naiad.errors import ConfigError

_CONTROL = protos.message_class("inference.ModelSequenceBatching.Control")
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType").values_by_name
_VALUE_LISTS = ("int32_false_true", "fp32_false_true", "bool_false_true")
_ANY_OF = "'int32_false_true', 'fp32_false_true' or 'bool_false_true'"
_CORRID_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")


def validate_sequence(message: Any) -> None:
    """Raises ConfigError for the first control or setting of ``sequence_batching`` that is wrong."""
    name, batching = message.name, message.sequence_batching
    seen: set[int] = set()
    for index, control_input in enumerate(batching.control_input):
        field = f"sequence_batching.control_input[{index}]"
        if not control_input.name:
            raise ConfigError(
                f"sequence batching control tensor must have a name for {name}", field=f"{field}.name"
            )
        for control in control_input.control:
            kind = _CONTROL.Kind.Name(control.kind)
            if control.kind in seen:
                raise ConfigError(
                    f"sequence batching specifies multiple {kind} tensors for {name}",
                    field=f"{field}.control",
                )
            seen.add(control.kind)
            if control.kind == _CONTROL.CONTROL_SEQUENCE_CORRID:
                _correlation_id(name, control, kind, f"{field}.control")
            else:
                _boolean(name, control, kind, f"{field}.control")
    for index, state in enumerate(batching.state):
        if state.use_growable_memory and not state.use_same_buffer_for_input_output:
            raise ConfigError(
                f"sequence batching state '{state.input_name}' with 'use_growable_memory' must have "
                f"'use_same_buffer_for_input_output' too for {name}",
                field=f"sequence_batching.state[{index}].use_growable_memory",
            )
    utilization = batching.direct.minimum_slot_utilization
    if not 0.0 <= utilization <= 1.0:
        raise ConfigError(
            f"sequence batching minimum slot utilization must be in range (0.0, 1.0] for {name}",
            field="sequence_batching.direct.minimum_slot_utilization",
        )


def _boolean(name: str, control: Any, kind: str, field: str) -> None:
    given = [values for values in _VALUE_LISTS if getattr(control, values)]
    if not given:
        raise ConfigError(
            f"sequence batching must specify either {_ANY_OF} for {kind} for {name}", field=field
        )
    if len(given) > 1:
        both = _ANY_OF.replace(" or ", " and ")
        raise ConfigError(
            f"sequence batching specifies more than one from {both} for {kind} for {name}", field=field
        )
    if len(getattr(control, given[0])) != 2:
        raise ConfigError(
            f"sequence batching control '{given[0]}' must have exactly 2 entries for {kind} for {name}",
            field=field,
        )


def _correlation_id(name: str, control: Any, kind: str, field: str) -> None:
    if any(getattr(control, values) for values in _VALUE_LISTS):
        raise ConfigError(
            f"sequence batching must not specify either {_ANY_OF} for {kind} for {name}", field=field
        )
    if control.data_type not in (_TYPES[allowed].number for allowed in _CORRID_TYPES):
        raise ConfigError(
            f"unexpected data type for control {kind} for {name}. Allowed data types are TYPE_UINT64, "
            f"TYPE_INT64, "
            "TYPE_UINT32, TYPE_INT32 and TYPE_STRING",
            field=field,
        )
