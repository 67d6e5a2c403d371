"""The protobuf wire format of ModelStreamInferResponse, written around bytes that are already serialized.

A message may hold a field twice in any order, and a later map entry adds to the map; so a serialized
ModelInferResponse is completed by appending, and wrapped by prefixing. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from naiad import protos

_INFER_RESPONSE_TAG = b"\x12"  # field 2, length-delimited

FINAL_RESPONSE_PARAMETER = "triton_final_response"


def _final_mark() -> bytes:
    response = protos.ModelInferResponse()
    response.parameters[FINAL_RESPONSE_PARAMETER].bool_param = True
    return bytes(response.SerializeToString())


_FINAL_MARK = _final_mark()


def varint(value: int) -> bytes:
    """A non-negative integer as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def stream_answer(response: bytes) -> bytes:
    """The stream message of a serialized ModelInferResponse, marked as the last one of its request."""
    size = len(response) + len(_FINAL_MARK)
    return b"".join((_INFER_RESPONSE_TAG, varint(size), response, _FINAL_MARK))


def stream_error(message: str, request: bytes) -> bytes:
    """The stream message of a request that failed. It carries the id of ``request``, if that can be read."""
    answer = protos.ModelStreamInferResponse(error_message=message)
    try:
        answer.infer_response.id = protos.ModelInferRequest.FromString(request).id
    except DecodeError:
        answer.infer_response.SetInParent()
    return bytes(answer.SerializeToString())


def parse(kind: Any, message: bytes) -> Any:
    """``message`` as an instance of ``kind``; None when it is not one."""
    try:
        return kind.FromString(message)
    except DecodeError:
        return None
