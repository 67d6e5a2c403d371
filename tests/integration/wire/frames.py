"""Frames of HTTP/2 by hand, right or wrong: pure functions from fields to bytes (RFC 9113, RFC 7541)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

import hpack
from tritonclient.grpc import service_pb2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = (1 << 31) - 1
DEFAULT_FRAME = 1 << 14
SERVICE = "/inference.GRPCInferenceService/"

Fields = Sequence[tuple[str, str]]


class Kind(enum.IntEnum):
    """Types of frames."""

    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
        range(10)
    )
    UNKNOWN = 0xF0


class Flag(enum.IntFlag):
    """Flags of frames; ACK is END_STREAM in another frame."""

    NONE = 0x0
    ACK = 0x1
    END_STREAM = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Code(enum.IntEnum):
    """Why a stream or a connection has ended."""

    NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE = range(7)
    REFUSED, CANCEL, COMPRESSION, CONNECT, CALM, INADEQUATE, HTTP_1_1 = range(7, 14)


class Setting(enum.IntEnum):
    """What SETTINGS hold."""

    TABLE_SIZE, PUSH, MAX_STREAMS, WINDOW, FRAME, LIST_SIZE = range(1, 7)
    UNKNOWN = 0xFFF0


def frame(
    kind: int, flags: int = 0, stream: int = 0, body: bytes = b"", *, length: int | None = None
) -> bytes:
    """Any frame; ``length`` is what its head says, by default the truth."""
    size = len(body) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + body


def call(
    method: str = "ServerLive", *, drop: Sequence[str] = (), add: Fields = (), **other: str
) -> list[tuple[str, str]]:
    """The fields of a gRPC call: without those dropped, with ``other`` values (``path=`` is ``:path``), and
    ``add`` behind."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": SERVICE + method,
        ":authority": "naiad",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    for name, value in other.items():
        name = name.replace("_", "-")
        fields[f":{name}" if f":{name}" in fields else name] = value
    return [(name, value) for name, value in fields.items() if name not in drop] + list(add)


def block(fields: Fields) -> bytes:
    """A header block that refers to no earlier one: right wherever it comes in a connection."""
    return hpack.Encoder().encode(fields)


def literal(name: bytes, value: bytes) -> bytes:
    """A field without indexing or Huffman code, each of at most 126 bytes; nothing is checked."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(
    stream: int, fields: Fields | bytes | None = None, *, end: bool = False, flags: int = Flag.END_HEADERS
) -> bytes:
    """HEADERS with fields, or a block as it is; by default those of ServerLive."""
    content = fields if isinstance(fields, bytes) else block(call() if fields is None else fields)
    return frame(Kind.HEADERS, flags | (Flag.END_STREAM if end else 0), stream, content)


def continuation(stream: int, content: bytes = b"", *, last: bool = False) -> bytes:
    return frame(Kind.CONTINUATION, Flag.END_HEADERS if last else 0, stream, content)


def data(stream: int, content: bytes = b"", *, end: bool = False) -> bytes:
    return frame(Kind.DATA, Flag.END_STREAM if end else 0, stream, content)


def message(content: bytes = b"", *, flag: int = 0, size: int | None = None) -> bytes:
    """A message of gRPC with its prefix; ``size`` is what that says, by default the truth."""
    return struct.pack(">BI", flag, len(content) if size is None else size) + content


def live(stream: int, fields: Fields | bytes | None = None) -> bytes:
    """A whole call of ServerLive, or with other fields."""
    return headers(stream, fields) + data(stream, message(), end=True)


def infer_message(count: int = 2) -> bytes:
    """A ModelInferRequest with ``count`` values for the model ``identity``."""
    request = service_pb2.ModelInferRequest(model_name="identity")
    tensor = request.inputs.add()
    tensor.name, tensor.datatype = "INPUT0", "FP32"
    tensor.shape.extend([1, count])
    request.raw_input_contents.append(struct.pack(f"<{count}f", *range(count)))
    return bytes(request.SerializeToString())


def infer(stream: int, count: int = 2) -> bytes:
    """A whole call of ModelInfer, in one DATA frame."""
    return headers(stream, call("ModelInfer")) + data(stream, message(infer_message(count)), end=True)


def settings(values: dict[int, int] | None = None, *, ack: bool = False) -> bytes:
    body = b"".join(struct.pack(">HI", name, value) for name, value in (values or {}).items())
    return frame(Kind.SETTINGS, Flag.ACK if ack else 0, 0, body)


def ping(content: bytes = b"a ping..", *, ack: bool = False) -> bytes:
    return frame(Kind.PING, Flag.ACK if ack else 0, 0, content)


def reset(stream: int, code: int = Code.CANCEL) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code))


def window(stream: int, count: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", count))


def priority(stream: int, on: int = 0) -> bytes:
    return frame(Kind.PRIORITY, 0, stream, struct.pack(">IB", on, 15))


def goaway(code: int = Code.NO_ERROR) -> bytes:
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">II", 0, code))
