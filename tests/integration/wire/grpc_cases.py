"""gRPC over HTTP/2 (grpc, doc/PROTOCOL-HTTP2.md): what a call may say."""

from __future__ import annotations

import gzip
import zlib

from .cases import Answer, Case, Verdict, alive_and, ended, grpc_status, http_status, malformed, served
from .client import Seen
from .frames import (
    DEFAULT_FRAME,
    Code,
    Fields,
    call,
    data,
    headers,
    infer,
    infer_message,
    live,
    message,
    reset,
)

INFER = call("ModelInfer")
STREAM = call("ModelStreamInfer")
OK, CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND = range(6)
EXHAUSTED, ABORTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 10, 12, 13, 14
NO_GRPC = [http_status(1, "415"), malformed()]


def refused(*statuses: int) -> list[Answer]:
    """A gRPC status, or a reset of the call."""
    return [grpc_status(1, *statuses), malformed()]


def typed(what: str, value: str) -> Case:
    """A call whose content type is not gRPC's."""
    return Case("grpc", f"content-type {what}", [live(1, call(content_type=value))], NO_GRPC)


def timed(value: str) -> Case:
    """A call with a malformed time-out: an error, or taken for none."""
    return Case(
        "grpc",
        f"grpc-timeout {value!r}",
        [live(1, call(grpc_timeout=value))],
        [*refused(INTERNAL, INVALID, UNKNOWN), served()],
    )


def asks(what: str, content: bytes, *allowed: Answer, fields: Fields = INFER, more: bytes = b"") -> Case:
    """A call of ModelInfer, or other fields, with any bytes for its messages."""
    parts = [content[i : i + DEFAULT_FRAME] for i in range(0, len(content), DEFAULT_FRAME)] or [b""]
    frames = b"".join(data(1, part) for part in parts[:-1]) + data(1, parts[-1], end=True)
    return Case("grpc", what, [headers(1, fields) + frames + more], allowed)


def no_message(seen: Seen) -> Verdict:
    """A stream that was ended without a request, or with an error in its answer."""
    return None if 1 not in seen.ended else seen.grpc_status(1) is not None


COMPRESSED = call("ModelInfer", grpc_encoding="gzip")

HEADS = [
    Case("grpc", "method GET", [live(1, [(":method", "GET"), *call(drop=[":method"])])],
         [http_status(1, "405", "415", "400"), *refused(UNIMPLEMENTED, INTERNAL, UNKNOWN)]),
    Case("grpc", "method PUT", [live(1, [(":method", "PUT"), *call(drop=[":method"])])],
         [http_status(1, "405", "415", "400"), *refused(UNIMPLEMENTED, INTERNAL, UNKNOWN)]),
    Case("grpc", "no content-type", [live(1, call(drop=["content-type"]))], NO_GRPC),
    typed("application/json", "application/json"),
    typed("application/grpc-web", "application/grpc-web"),
    typed("application/grpcx", "application/grpcx"),
    typed("text/plain", "text/plain"),
    Case("grpc", "content-type application/grpc+proto",
         [live(1, call(content_type="application/grpc+proto"))],
         [served()]),
    Case("grpc", "content-type application/grpc;x=y", [live(1, call(content_type="application/grpc;x=y"))],
         [served()]),
    # The field is for proxies that lose trailers; a server is not told to look at it.
    Case("grpc", "no te", [live(1, call(drop=["te"]))], [served(), *refused(INTERNAL, UNKNOWN)]),
    *[timed(value) for value in ("", "5", "S", "5x", "-5S", "5 S", "123456789S", "1.5S", "5SS")],
    Case("grpc", "grpc-timeout 0n", [live(1, call(grpc_timeout="0n"))],
         [grpc_status(1, DEADLINE, CANCELLED), served()]),
    Case("grpc", "grpc-timeout 99999999H", [live(1, call(grpc_timeout="99999999H"))], [served()]),
    Case("grpc", "grpc-timeout 50m of a call that never asks", [headers(1, call(grpc_timeout="50m"))],
         [grpc_status(1, DEADLINE), alive_and("reset", lambda seen: 1 in seen.resets)]),
    Case("grpc", "an unknown method", [live(1, call("Nothing"))], [grpc_status(1, UNIMPLEMENTED)]),
    Case("grpc", "an unknown service", [live(1, call(path="/none.Service/ServerLive"))],
         [grpc_status(1, UNIMPLEMENTED)]),
    Case("grpc", "a path of one part", [live(1, call(path="/ServerLive"))], [grpc_status(1, UNIMPLEMENTED)]),
    Case("grpc", "a path with a query", [live(1, call("ServerLive?x=1"))], [grpc_status(1, UNIMPLEMENTED)]),
    Case("grpc", "unknown reserved metadata", [live(1, call(add=[("grpc-what", "1")]))], [served()]),
    Case("grpc", "binary metadata that is no base64", [live(1, call(add=[("x-test-bin", "!!")]))],
         [served(), *refused(INTERNAL, UNKNOWN, INVALID)]),
]  # fmt: skip

MESSAGES = [
    asks("an answer", message(infer_message()), grpc_status(1, OK)),
    asks("no message", b"", grpc_status(1, UNIMPLEMENTED, INTERNAL, INVALID)),
    Case("grpc", "no message and no DATA", [headers(1, INFER, end=True)],
         [grpc_status(1, UNIMPLEMENTED, INTERNAL, INVALID)]),
    asks("two messages to a unary method", message(infer_message()) * 2,
         grpc_status(1, UNIMPLEMENTED, INTERNAL, INVALID)),
    asks("half a prefix", b"\0\0\0", grpc_status(1, INTERNAL, INVALID)),
    asks("half a message", message(infer_message()[:20], size=50), grpc_status(1, INTERNAL, INVALID)),
    asks("a message that is no protobuf", message(b"\xff" * 50), grpc_status(1, INTERNAL, INVALID)),
    asks("an empty message", message(), grpc_status(1, INVALID, NOT_FOUND)),
    asks("a message of 2^32 - 1 bytes", message(size=(1 << 32) - 1), grpc_status(1, EXHAUSTED)),
    Case("grpc", "a message of 2^31 - 1 bytes that does not come",
         [headers(1, INFER) + data(1, message(bytes(100), size=(1 << 31) - 1)) + live(3)], [served(3)]),
    asks("compressed without an encoding", message(gzip.compress(infer_message()), flag=1),
         grpc_status(1, INTERNAL, UNIMPLEMENTED)),
    asks("gzip", message(gzip.compress(infer_message()), flag=1), grpc_status(1, OK), fields=COMPRESSED),
    asks("gzip, a message as it is", message(infer_message()), grpc_status(1, OK), fields=COMPRESSED),
    asks("deflate", message(zlib.compress(infer_message()), flag=1), grpc_status(1, OK),
         fields=call("ModelInfer", grpc_encoding="deflate")),
    asks("gzip that is none", message(b"no gzip at all", flag=1), grpc_status(1, INTERNAL, INVALID),
         fields=COMPRESSED),
    asks("gzip that ends early", message(gzip.compress(infer_message())[:-9], flag=1),
         grpc_status(1, INTERNAL, INVALID), fields=COMPRESSED),
    asks("gzip of 64 MB of zeros", message(gzip.compress(bytes(64_000_000), 1), flag=1),
         grpc_status(1, INTERNAL, INVALID, EXHAUSTED), fields=COMPRESSED),
    asks("grpc-encoding br", message(infer_message(), flag=1), grpc_status(1, UNIMPLEMENTED),
         fields=call("ModelInfer", grpc_encoding="br")),
    asks("compression flag 2", message(infer_message(), flag=2), grpc_status(1, INTERNAL)),
    asks("compression flag 255", message(infer_message(), flag=255), grpc_status(1, INTERNAL)),
    Case("grpc", "a message in frames of one byte",
         [headers(1, INFER) + b"".join(data(1, bytes([byte])) for byte in message(infer_message()))
          + data(1, end=True)], [grpc_status(1, OK)]),
    Case("grpc", "a message and trailers", [headers(1, INFER) + data(1, message(infer_message()))
         + headers(1, [("grpc-status", "5"), ("x-after", "1")], end=True)], [grpc_status(1, OK)]),
    Case("grpc", "a message in DATA, then a reset, then a call",
         [headers(1, INFER) + data(1, message(infer_message())) + reset(1) + infer(3)], [grpc_status(3, OK)]),
    Case("grpc", "calls one behind another, not waiting", [b"".join(infer(2 * i + 1) for i in range(100))],
         [grpc_status(199, OK)]),
    Case("grpc", "a refused call does not end the others",
         [live(1, call(content_type="text/plain")) + infer(3), ended(1)], [grpc_status(3, OK)]),
]  # fmt: skip

STREAMS = [
    Case("grpc", "a stream that asks nothing", [headers(1, STREAM, end=True)], [grpc_status(1, OK)]),
    Case("grpc", "a stream of three requests",
         [headers(1, STREAM) + data(1, message(infer_message()) * 3, end=True)],
         [grpc_status(1, OK)]),
    Case("grpc", "a stream with a message cut off",
         [headers(1, STREAM) + data(1, message(b"x", size=9), end=True)],
         [grpc_status(1, INTERNAL, INVALID)]),
    Case("grpc", "a stream with an empty request", [headers(1, STREAM) + data(1, message(), end=True)],
         [Answer("an error in the answer, or a status", no_message)]),
    Case("grpc", "a stream that is reset while it answers",
         [headers(1, STREAM) + data(1, message(infer_message()) * 3) + reset(1, Code.CANCEL) + infer(3)],
         [grpc_status(3, OK)]),
    Case("grpc", "a health stream and a call beside it",
         [headers(1, call(path="/grpc.health.v1.Health/Watch")) + data(1, message(), end=True) + infer(3)],
         [grpc_status(3, OK)]),
]  # fmt: skip

CASES = [*HEADS, *MESSAGES, *STREAMS]
