"""RFC 9113, sections 6 and 7: each type of frame, error codes."""

from __future__ import annotations

import struct

from .cases import (
    Case,
    Step,
    acked,
    alive_and,
    connection_error,
    ended,
    grpc_status,
    served,
    stream_error,
)
from .client import Client
from .connection_cases import BLOCK_BEGUN, LIVE, OPEN, PROTOCOL, SIZE
from .frames import (
    DEFAULT_FRAME,
    MAX_WINDOW,
    Code,
    Flag,
    Kind,
    Setting,
    call,
    continuation,
    data,
    frame,
    goaway,
    headers,
    infer,
    live,
    message,
    ping,
    priority,
    reset,
    settings,
    window,
)

FLOW = connection_error(Code.FLOW_CONTROL)
PUSH_PROMISE = frame(Kind.PUSH_PROMISE, Flag.END_HEADERS, 1, struct.pack(">I", 2) + LIVE)


def padded(pads: int, content: bytes, *, given: int | None = None) -> bytes:
    """Content and its padding; ``given`` of which follow."""
    return bytes([pads]) + content + bytes(pads if given is None else given)


def body_of(stream: int, count: int) -> Step:
    """Waits until as many bytes of an answer are there, or more."""

    def step(client: Client) -> None:
        client.until(lambda: len(client.seen.bodies.get(stream, b"")) >= count)

    return step


def setting(name: int, value: int) -> bytes:
    return settings({name: value})


DATA = [
    Case("6.1", "DATA on stream 0", [data(0, b"x")], [PROTOCOL]),
    Case("6.1", "padding as long as the frame", [OPEN + frame(0, Flag.PADDED, 1, b"\x05abcd")], [PROTOCOL]),
    Case("6.1", "padding longer than the frame", [OPEN + frame(0, Flag.PADDED, 1, b"\xffabcd")], [PROTOCOL]),
    Case("6.1", "PADDED without its length", [OPEN + frame(0, Flag.PADDED, 1)], [PROTOCOL, SIZE]),
    Case("6.1", "a message with padding",
         [OPEN + frame(0, Flag.PADDED | Flag.END_STREAM, 1, padded(200, message()))], [served()]),
    Case("6.1", "padding of no bytes",
         [OPEN + frame(0, Flag.PADDED | Flag.END_STREAM, 1, padded(0, message()))],
         [served()]),
    Case("6.1", "a frame of padding alone, then the message",
         [OPEN + frame(0, Flag.PADDED, 1, padded(255, b"")) + data(1, message(), end=True)], [served()]),
    Case("6.1", "an empty frame at the end", [OPEN + data(1, message()) + data(1, end=True)], [served()]),
    Case("6.1", "a message a byte at a time",
         [OPEN + b"".join(data(1, bytes([byte])) for byte in message()) + data(1, end=True)], [served()]),
]  # fmt: skip

HEADERS = [
    Case("6.2", "HEADERS on stream 0", [headers(0)], [PROTOCOL]),
    Case("6.2", "padding longer than the frame",
         [frame(Kind.HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, b"\xff" + LIVE)], [PROTOCOL]),
    Case("6.2", "PRIORITY without its fields",
         [frame(Kind.HEADERS, Flag.PRIORITY | Flag.END_HEADERS, 1, b"\0\0\0")], [PROTOCOL, SIZE]),
    Case("6.2", "HEADERS with padding",
         [frame(Kind.HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, padded(200, LIVE))
         + data(1, message(), end=True)],
         [served()]),
    Case("6.2", "HEADERS with padding and a priority",
         [frame(Kind.HEADERS, Flag.PADDED | Flag.PRIORITY | Flag.END_HEADERS, 1, padded(9, bytes(5) + LIVE))
          + data(1, message(), end=True)], [served()]),
    Case("6.2", "an empty block", [headers(1, b"", end=True)], [stream_error(1, Code.PROTOCOL)]),
    Case("6.3", "PRIORITY on stream 0", [priority(0)], [PROTOCOL]),
    Case("6.3", "PRIORITY of 4 bytes", [OPEN + frame(Kind.PRIORITY, 0, 1, bytes(4))],
         [stream_error(1, Code.FRAME_SIZE)]),
    Case("6.4", "RST_STREAM on stream 0", [reset(0)], [PROTOCOL]),
    Case("6.4", "RST_STREAM of 3 bytes", [OPEN + frame(Kind.RST_STREAM, 0, 1, bytes(3))], [SIZE]),
    Case("6.4", "RST_STREAM of 5 bytes", [OPEN + frame(Kind.RST_STREAM, 0, 1, bytes(5))], [SIZE]),
    Case("6.4", "a reset in the middle of a message",
         [headers(1, call("ModelInfer")) + data(1, message(bytes(50), size=100)) + reset(1) + live(3)],
         [served(3)]),
    Case("6.4", "a reset while the call runs", [infer(1) + reset(1) + live(3)], [served(3)]),
]  # fmt: skip

SETTINGS = [
    Case("6.5", "an ACK with content", [frame(Kind.SETTINGS, Flag.ACK, 0, bytes(6))], [SIZE]),
    Case("6.5", "SETTINGS on a stream", [frame(Kind.SETTINGS, 0, 1)], [PROTOCOL]),
    Case("6.5", "5 bytes", [frame(Kind.SETTINGS, 0, 0, bytes(5))], [SIZE]),
    Case("6.5", "an ACK that nobody waits for", [settings(ack=True) + live(1)], [served(), PROTOCOL]),
    Case("6.5.2", "ENABLE_PUSH 2", [setting(Setting.PUSH, 2)], [PROTOCOL]),
    Case("6.5.2", "ENABLE_PUSH 1", [setting(Setting.PUSH, 1) + live(1)], [served()]),
    Case("6.5.2", "INITIAL_WINDOW_SIZE 2^31", [setting(Setting.WINDOW, 1 << 31)], [FLOW]),
    Case("6.5.2", "INITIAL_WINDOW_SIZE 2^32 - 1", [setting(Setting.WINDOW, (1 << 32) - 1)], [FLOW]),
    Case("6.5.2", "MAX_FRAME_SIZE 2^14 - 1", [setting(Setting.FRAME, DEFAULT_FRAME - 1)], [PROTOCOL]),
    Case("6.5.2", "MAX_FRAME_SIZE 2^24", [setting(Setting.FRAME, 1 << 24)], [PROTOCOL]),
    Case("6.5.2", "HEADER_TABLE_SIZE 0", [setting(Setting.TABLE_SIZE, 0), acked, live(1)], [served()]),
    Case("6.5.2", "HEADER_TABLE_SIZE 2^32 - 1", [setting(Setting.TABLE_SIZE, (1 << 32) - 1), acked, live(1)],
         [served()]),
    Case("6.5.2", "MAX_CONCURRENT_STREAMS 0 is of pushes", [setting(Setting.MAX_STREAMS, 0), acked, live(1)],
         [served()]),
    Case("6.5.2", "MAX_HEADER_LIST_SIZE 2^16", [setting(Setting.LIST_SIZE, 1 << 16), acked, live(1)],
         [served()]),
    Case("6.5.3", "of two values the last one counts",
         [frame(Kind.SETTINGS, 0, 0, struct.pack(">HIHI", Setting.WINDOW, 100, Setting.WINDOW, 1)), acked,
          live(1), body_of(1, 1)],
         [alive_and("1 byte", lambda seen: seen.bodies.get(1) == b"\0")]),
    Case("6.5.3", "each SETTINGS is acknowledged", [settings() * 3],
         [alive_and("4 acknowledgements", lambda seen: seen.acks == 4)]),
]  # fmt: skip

PINGS = [
    Case("6.6", "PUSH_PROMISE from a client", [OPEN + PUSH_PROMISE], [PROTOCOL]),
    Case("6.7", "PING", [ping(b"\0\1\2\3\4\5\6\7")],
         [alive_and("its content comes back", lambda seen: seen.pongs[0] == b"\0\1\2\3\4\5\6\7")]),
    Case("6.7", "an ACK is not answered", [ping(b"unasked.", ack=True)],
         [alive_and("no pong", lambda seen: b"unasked." not in seen.pongs)]),
    Case("6.7", "PING on a stream", [frame(Kind.PING, 0, 1, bytes(8))], [PROTOCOL]),
    Case("6.7", "PING of 6 bytes", [frame(Kind.PING, 0, 0, bytes(6))], [SIZE]),
    Case("6.7", "PING of 9 bytes", [frame(Kind.PING, 0, 0, bytes(9))], [SIZE]),
    Case("6.7", "PING overtakes a call that waits", [OPEN + ping(b"overtake")],
         [alive_and("a pong", lambda seen: b"overtake" in seen.pongs)]),
    Case("6.8", "GOAWAY on a stream", [frame(Kind.GOAWAY, 0, 1, bytes(8))], [PROTOCOL]),
    Case("6.8", "GOAWAY of 7 bytes", [frame(Kind.GOAWAY, 0, 0, bytes(7))], [SIZE]),
    Case("7", "GOAWAY with an unknown code", [live(1) + goaway(0xFF)], [served()], bare=True),
    Case("7", "RST_STREAM with an unknown code", [OPEN + reset(1, 0xFF) + live(3)], [served(3)]),
]  # fmt: skip

WINDOWS = [
    Case("6.9", "WINDOW_UPDATE by 0", [window(0, 0)], [PROTOCOL]),
    Case("6.9", "WINDOW_UPDATE by 0 on a stream", [OPEN + window(1, 0)], [stream_error(1, Code.PROTOCOL)]),
    Case("6.9", "WINDOW_UPDATE of 3 bytes", [frame(Kind.WINDOW_UPDATE, 0, 0, bytes(3))], [SIZE]),
    Case("6.9", "WINDOW_UPDATE of 5 bytes", [frame(Kind.WINDOW_UPDATE, 0, 0, bytes(5))], [SIZE]),
    Case("6.9", "the reserved bit", [window(0, 1 | 1 << 31) + live(1)], [served()]),
    Case("6.9.1", "a window of 1 byte", [setting(Setting.WINDOW, 1), acked, live(1), body_of(1, 1)],
         [alive_and("1 byte", lambda seen: seen.bodies.get(1) == b"\0")]),
    Case("6.9.1", "a window of 0, opened later", [setting(Setting.WINDOW, 0), acked, live(1), window(1, 100)],
         [served()]),
    Case("6.9.1", "the window of the connection beyond 2^31 - 1", [window(0, MAX_WINDOW) * 2], [FLOW]),
    Case("6.9.1", "the window of a stream beyond 2^31 - 1", [OPEN + window(1, MAX_WINDOW) * 2],
         [stream_error(1, Code.FLOW_CONTROL)]),
    Case("6.9.1", "the largest windows", [window(0, MAX_WINDOW - 65535) + OPEN + window(1, MAX_WINDOW - 65535)
         + data(1, message(), end=True)], [served()]),
    Case("6.9.1", "a large answer waits for the window of the connection",
         [setting(Setting.WINDOW, 1 << 20), acked, infer(1, 20_000), body_of(1, 65_535)],
         [alive_and("65535 bytes", lambda seen: len(seen.bodies.get(1, b"")) == 65_535)]),
    Case("6.9.1", "the rest of it comes when that opens",
         [setting(Setting.WINDOW, 1 << 20), acked, infer(1, 20_000), body_of(1, 65_535), window(0, 100_000)],
         [grpc_status(1, 0)]),
    Case("6.9.2", "a setting opens the windows of open calls",
         [setting(Setting.WINDOW, 0), acked, live(1), ping(), setting(Setting.WINDOW, 1), body_of(1, 1)],
         [alive_and("1 byte", lambda seen: seen.bodies.get(1) == b"\0")]),
    Case("6.9.2", "a window that has become negative",
         [setting(Setting.WINDOW, 3), acked, live(1), body_of(1, 3), setting(Setting.WINDOW, 2)
         + window(1, 2),
          body_of(1, 4)],
         [alive_and("4 bytes", lambda seen: len(seen.bodies.get(1, b"")) == 4)]),
    Case("6.9.2", "a setting that takes a window beyond 2^31 - 1",
         [OPEN + window(1, MAX_WINDOW - 65535) + setting(Setting.WINDOW, 65536)], [FLOW],
         instead=stream_error(1, Code.FLOW_CONTROL),
         reason="nghttp2 resets the calls whose windows are too large; the others go on"),
]  # fmt: skip

CONTINUATIONS = [
    Case("6.10", "a block in three frames",
         [frame(Kind.HEADERS, 0, 1, LIVE[:9]) + continuation(1, LIVE[9:20])
         + continuation(1, LIVE[20:], last=True)
          + data(1, message(), end=True)], [served()]),
    Case("6.10", "an empty CONTINUATION at the end", [BLOCK_BEGUN + continuation(1, last=True)
         + data(1, message(), end=True)], [served()]),
    Case("6.10", "DATA behind CONTINUATION", [BLOCK_BEGUN + continuation(1) + data(1, b"x")], [PROTOCOL]),
    Case("6.10", "on stream 0", [BLOCK_BEGUN + continuation(0, last=True)], [PROTOCOL]),
    Case("6.10", "behind HEADERS with END_HEADERS", [OPEN + continuation(1, last=True)], [PROTOCOL]),
    Case("6.10", "behind CONTINUATION with END_HEADERS",
         [BLOCK_BEGUN + continuation(1, last=True) + continuation(1, last=True)], [PROTOCOL]),
    Case("6.10", "behind DATA", [OPEN + data(1, b"\0") + continuation(1, last=True)], [PROTOCOL]),
    Case("6.10", "END_STREAM counts from HEADERS", [frame(Kind.HEADERS, Flag.END_STREAM, 1, LIVE)
         + continuation(1, last=True), ended(1)],
         [grpc_status(1, 12, 13, 3)]),
]  # fmt: skip

CASES = [*DATA, *HEADERS, *SETTINGS, *PINGS, *WINDOWS, *CONTINUATIONS]
