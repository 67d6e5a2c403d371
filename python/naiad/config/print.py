"""A ``ModelConfig`` message to text: config.pbtxt, and the JSON of ``GET /v2/models/{m}/config``."""

from __future__ import annotations

import math
import struct
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor

_LARGEST_FLOAT32 = 3.4028234663852886e38


def to_pbtxt(message: Any) -> str:
    """Protobuf text format which ``parse_pbtxt`` reads back to an equal message."""
    return text_format.MessageToString(message, as_utf8=True)


def to_json(message: Any) -> dict[str, Any]:
    """The message as JSON values, the way Triton prints it.

    Names as in the proto, enums by name, 64-bit integers as numbers, every scalar, list and map whether set
    or not; a member of a oneof and a nested message only when it is set. (Triton 2.51 prints the dims of an
    initial sequence state as strings, an accident that is not kept.)
    """
    return {
        field.name: _field(message, field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _field(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if not field.is_repeated:
        return _single(value, field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        element = field.message_type.fields_by_name["value"]
        # Sorted, for protobuf gives the entries of a map in no order that lasts.
        return {str(key): _single(value[key], element) for key in sorted(value)}
    return [_single(item, field) for item in value]


def _single(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if field.type == FieldDescriptor.TYPE_FLOAT:
        return _number(_shortest_float32(value))
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _number(value)
    return value


def _shortest_float32(value: float) -> float:
    """The decimal with the fewest digits that rounds to the same float32: 1.1, not 1.10000002384."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 9):
        shorter = float(f"{value:.{digits}g}")
        # Rounded past the largest float32, a reader would refuse it.
        if abs(shorter) <= _LARGEST_FLOAT32 and struct.unpack("f", struct.pack("f", shorter))[0] == value:
            return shorter
    return value


def _number(value: float) -> int | float | str:
    """Protobuf's JSON: names for what JSON cannot spell, and 1 for 1.0."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return (
        int(value)
        if value.is_integer() and abs(value) < 2**53 and (value or math.copysign(1, value) > 0)
        else value
    )
