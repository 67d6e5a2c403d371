"""Which model a request is about, told from its first bytes: where it goes depends on that."""

from __future__ import annotations

from naiad.http.routes import find_route

_FIRST_FIELD = 0x0A  # number 1, with a length: the name of the model in all messages that have one
_WITH_MODEL = frozenset({"ModelReady", "ModelMetadata", "ModelInfer", "ModelConfig", "ModelStatistics"})
"""gRPC methods with one message, about one model."""


def model_of_path(path: str) -> str:
    """The model that a path of HTTP (percent-encoded, without query) names; "" where it names none."""
    route = find_route(path)
    return "" if route is None else route.model


def model_of_message(method: str, message: bytes) -> str:
    """The model that a message of the gRPC method ``method`` names; "" where it names none, or not in the
    first field, where all known clients write it.
    """
    if method not in _WITH_MODEL:
        return ""
    return first_field(message)


def first_field(message: bytes) -> str:
    """The text in field 1 of a message of protobuf, where it comes first; "" otherwise."""
    if len(message) < 2 or message[0] != _FIRST_FIELD:
        return ""
    length, position = _varint(message, 1)
    return message[position : position + length].decode(errors="replace")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, position
