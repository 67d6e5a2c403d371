"""RFC 9113, sections 3 to 5: the preface, frames, header blocks, streams."""

from __future__ import annotations

from .cases import (
    ALIVE,
    Answer,
    Case,
    NotApplicableError,
    Step,
    Verdict,
    alive_and,
    connection_error,
    ended,
    grpc_status,
    served,
    stream_error,
)
from .client import Client, Seen
from .frames import (
    DEFAULT_FRAME,
    MAX_WINDOW,
    PREFACE,
    Code,
    Flag,
    Kind,
    Setting,
    block,
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

NOT_HTTP2 = connection_error(Code.PROTOCOL)
PROTOCOL = connection_error(Code.PROTOCOL)
CLOSED = stream_error(1, Code.STREAM_CLOSED)
SIZE = connection_error(Code.FRAME_SIZE)
# RFC 7540 asked for an error. RFC 9113 lets a server drop what comes of a call that is over: a client may
# have sent it before it heard of the end.
IGNORED = ALIVE

LIVE = block(call())
OPEN = headers(1)  # a call whose message is still to come
BLOCK_BEGUN = frame(Kind.HEADERS, 0, 1, LIVE)
WHOLE = [live(1), ended(1)]
"""A call that has been answered."""


def by_bytes(content: bytes) -> Step:
    """A byte at a time."""

    def step(client: Client) -> None:
        client.quiet = True
        for i in range(len(content)):
            client.send(content[i : i + 1])
        client.quiet = False

    return step


def too_long(kind: int, flags: int, stream: int) -> Step:
    """A frame one byte longer than the server has said it takes; its content does not follow."""

    def step(client: Client) -> None:
        most = client.seen.settings.get(Setting.FRAME, DEFAULT_FRAME)
        client.send(frame(kind, flags, stream, length=most + 1) + bytes(100))

    return step


def goaway_behind(last: int, code: Code) -> Answer:
    """The connection is closed, but said before which call was the last."""

    def verdict(seen: Seen) -> Verdict:
        if seen.goaways and seen.goaways[-1] != (code, last):
            return False
        return bool(seen.goaways) if seen.closed else None

    return Answer(f"GOAWAY {code.name} behind call {last}, then the end", verdict)


def one_too_many(client: Client) -> None:
    """As many calls as the server allows at a time, and one more: the last of them is number 99999."""
    most = client.seen.settings.get(Setting.MAX_STREAMS, MAX_WINDOW)
    if most > 10_000:
        raise NotApplicableError(f"it allows {most} streams at a time")
    fields = block(call("ModelStreamInfer"))
    client.send(b"".join(headers(2 * i + 1, fields) for i in range(most)) + headers(99_999, fields))


PREFACES = [
    Case("3.4", "the right preface", [PREFACE + settings()], [ALIVE], raw=True),
    Case(
        "3.4",
        "a byte at a time, with a call",
        [by_bytes(PREFACE + settings() + live(1))],
        [served()],
        raw=True,
    ),
    Case(
        "3.4", "a call before the server has greeted", [PREFACE + settings() + live(1)], [served()], raw=True
    ),
    Case("3.4", "a request of HTTP/1.1", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], [NOT_HTTP2], raw=True),
    Case("3.4", "the last byte is wrong", [PREFACE[:-1] + b"\r" + settings()], [NOT_HTTP2], raw=True),
    Case("3.4", "frames without a preface", [settings() + live(1)], [NOT_HTTP2], raw=True),
    Case("3.4", "half a preface, then frames", [PREFACE[:12] + settings() + live(1)], [NOT_HTTP2], raw=True),
    Case("3.4", "PING in place of the first SETTINGS", [PREFACE + ping()], [PROTOCOL], raw=True),
    Case("3.4", "HEADERS in place of the first SETTINGS", [PREFACE + live(1)], [PROTOCOL], raw=True),
    Case(
        "3.4", "an ACK in place of the first SETTINGS", [PREFACE + settings(ack=True)], [PROTOCOL], raw=True
    ),
    Case("3.4", "a second preface", [PREFACE], [connection_error(Code.FRAME_SIZE, Code.PROTOCOL)]),
]

FRAMES = [
    Case("4.1", "a frame of an unknown type", [frame(0x16, 0, 0, bytes(8))], [ALIVE]),
    Case("4.1", "an unknown type on an idle stream", [frame(0x16, 0xFF, 77, bytes(8)) + live(1)], [served()]),
    Case("4.1", "an unknown type, empty", [frame(0x16)], [ALIVE]),
    Case("4.1", "an unknown type in an open call",
         [OPEN + frame(0x16, 1, 1, b"x") + data(1, message(), end=True)],
         [served()]),
    Case("4.1", "unknown flags of PING", [frame(Kind.PING, 0xFE, 0, b"12345678")],
         [alive_and("a pong", lambda seen: b"12345678" in seen.pongs)]),
    Case("4.1", "unknown flags of DATA and HEADERS",
         [headers(1, flags=0xD6 & ~0x28) + frame(0, 0xF7, 1, message())],
         [served()]),
    Case("4.1", "the reserved bit of a stream", [frame(Kind.PING, 0, 1 << 31, b"12345678")],
         [alive_and("a pong", lambda seen: b"12345678" in seen.pongs)]),
    Case("4.1", "the reserved bit of a call", [live(1 | 1 << 31)], [served()]),
    Case("4.2", "DATA of 16384 bytes",
         [headers(1, call("ModelInfer")) + data(1, bytes(DEFAULT_FRAME), end=True)],
         [grpc_status(1, 3, 5, 12, 13)]),
    Case("4.2", "DATA too long", [OPEN, too_long(Kind.DATA, 0, 1)],
         [SIZE, stream_error(1, Code.FRAME_SIZE)], bare=True),
    Case("4.2", "HEADERS too long", [too_long(Kind.HEADERS, Flag.END_HEADERS, 1)], [SIZE], bare=True),
    Case("4.2", "CONTINUATION too long", [BLOCK_BEGUN, too_long(Kind.CONTINUATION, Flag.END_HEADERS, 1)],
         [SIZE],
         bare=True),
    Case("4.2", "SETTINGS too long", [too_long(Kind.SETTINGS, 0, 0)], [SIZE], bare=True),
    Case("4.2", "an unknown type too long", [too_long(Kind.UNKNOWN, 0, 0)], [SIZE, PROTOCOL], bare=True),
]  # fmt: skip

BLOCKS = [
    Case("4.3", "a block that is no HPACK", [headers(1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")],
         [connection_error(Code.COMPRESSION)]),
    Case("4.3", "a block that ends within a field", [headers(1, LIVE[:-3])],
         [connection_error(Code.COMPRESSION)]),
    Case("4.3", "PRIORITY within a block", [BLOCK_BEGUN + priority(1)], [PROTOCOL]),
    Case("4.3", "HEADERS of another call within a block", [BLOCK_BEGUN + headers(3)], [PROTOCOL]),
    Case("4.3", "DATA within a block", [BLOCK_BEGUN + data(1, b"x")], [PROTOCOL]),
    Case("4.3", "PING within a block", [BLOCK_BEGUN + ping()], [PROTOCOL]),
    Case("4.3", "SETTINGS within a block", [BLOCK_BEGUN + settings()], [PROTOCOL]),
    Case("4.3", "WINDOW_UPDATE within a block", [BLOCK_BEGUN + window(0, 1)], [PROTOCOL]),
    Case("4.3", "RST_STREAM within a block", [BLOCK_BEGUN + reset(1)], [PROTOCOL]),
    Case("4.3", "CONTINUATION of another call within a block", [BLOCK_BEGUN + continuation(3, last=True)],
         [PROTOCOL]),
]  # fmt: skip

STREAMS = [
    Case("5.1 idle", "DATA", [data(1, b"x", end=True)], [PROTOCOL]),
    Case("5.1 idle", "RST_STREAM", [reset(1)], [PROTOCOL]),
    Case("5.1 idle", "WINDOW_UPDATE", [window(1, 100)], [PROTOCOL]),
    Case("5.1 idle", "CONTINUATION", [continuation(1, LIVE, last=True)], [PROTOCOL]),
    Case("5.1 idle", "PRIORITY", [priority(1) + live(1)], [served()]),
    Case("5.1 half-closed", "DATA", [live(1) + data(1, b"x", end=True)], [CLOSED]),
    Case("5.1 half-closed", "empty DATA", [live(1) + data(1)], [CLOSED]),
    Case("5.1 half-closed", "HEADERS", [live(1) + headers(1, end=True)], [CLOSED]),
    Case("5.1 half-closed", "CONTINUATION", [live(1) + continuation(1, LIVE, last=True)],
         [CLOSED, PROTOCOL]),
    Case("5.1 half-closed", "WINDOW_UPDATE", [live(1) + window(1, 100)], [served()]),
    Case("5.1 half-closed", "PRIORITY", [live(1) + priority(1)], [served()]),
    Case("5.1 half-closed", "RST_STREAM", [live(1) + reset(1) + live(3)], [served(3)]),
    Case("5.1 reset", "DATA", [OPEN + reset(1) + data(1, b"x", end=True)], [CLOSED, IGNORED]),
    Case("5.1 reset", "HEADERS", [OPEN + reset(1) + headers(1, end=True)], [CLOSED, IGNORED]),
    Case("5.1 reset", "CONTINUATION", [OPEN + reset(1) + continuation(1, LIVE, last=True)],
         [CLOSED, PROTOCOL]),
    Case("5.1 reset", "WINDOW_UPDATE", [OPEN + reset(1) + window(1, 100) + live(3)], [served(3), CLOSED]),
    Case("5.1 reset", "PRIORITY", [OPEN + reset(1) + priority(1) + live(3)], [served(3)]),
    Case("5.1 reset", "RST_STREAM again", [OPEN + reset(1) + reset(1) + live(3)], [served(3)]),
    Case("5.1 closed", "DATA", [*WHOLE, data(1, b"x", end=True)], [CLOSED, IGNORED]),
    Case("5.1 closed", "HEADERS", [*WHOLE, headers(1, end=True)], [CLOSED, PROTOCOL, IGNORED]),
    Case("5.1 closed", "CONTINUATION", [*WHOLE, continuation(1, LIVE, last=True)], [CLOSED, PROTOCOL]),
    Case("5.1 closed", "WINDOW_UPDATE and RST_STREAM", [*WHOLE, window(1, 100) + reset(1) + live(3)],
         [served(3)]),
    Case("5.1 closed", "PRIORITY", [*WHOLE, priority(1) + live(3)], [served(3)]),
    Case("5.1.1", "a call of an even number", [live(2)], [PROTOCOL]),
    Case("5.1.1", "a call of a smaller number", [live(5), ended(5), live(3)], [PROTOCOL], instead=ALIVE,
         reason="nghttp2 takes a number below the last for a call that is over, of which frames may be late"),
    Case("5.1.1", "numbers that are left out", [live(1) + live(7) + live(9999), ended(1), ended(7)],
         [served(9999)]),
    Case("5.1.1", "DATA on a number that was left out", [live(5), ended(5), data(3, b"x")],
         [connection_error(Code.PROTOCOL, Code.STREAM_CLOSED), stream_error(3, Code.STREAM_CLOSED), IGNORED]),
    Case("5.1.1", "the largest number", [live(MAX_WINDOW)], [served(MAX_WINDOW)]),
    Case("5.1.1", "a call on stream 0", [live(0)], [PROTOCOL]),
    Case("5.1.2", "more calls at a time than allowed", [one_too_many],
         [stream_error(99_999, Code.PROTOCOL, Code.REFUSED)]),
    Case("5.2", "a call that is not read holds up no other",
         [headers(1, call("ModelStreamInfer")) + data(1, bytes(5)) * 3 + live(3)], [served(3)]),
]  # fmt: skip

ERRORS = [
    Case("5.3.1", "HEADERS with a priority",
         [frame(Kind.HEADERS, Flag.END_HEADERS | Flag.PRIORITY, 1, bytes(4) + b"\xff" + LIVE)
          + data(1, message(), end=True)], [served()]),
    # RFC 9113 has withdrawn priorities: neither an error nor its absence is asked for any more.
    Case("5.3.1", "HEADERS that depend on themselves",
         [frame(Kind.HEADERS, Flag.END_HEADERS | Flag.PRIORITY, 1, bytes(3) + b"\1\xff" + LIVE)
          + data(1, message(), end=True)], [served(), stream_error(1, Code.PROTOCOL)]),
    Case("5.3.1", "PRIORITY that depends on itself", [priority(1, on=1) + live(1)],
         [served(), stream_error(1, Code.PROTOCOL)]),
    Case("5.4.1", "GOAWAY names the last call", [live(5), ended(5), frame(Kind.PING, 0, 3, bytes(8))],
         [goaway_behind(5, Code.PROTOCOL)]),
    Case("5.4.1", "GOAWAY when there was no call", [frame(Kind.PING, 0, 3, bytes(8))],
         [goaway_behind(0, Code.PROTOCOL)]),
    Case("5.4.1", "GOAWAY of the client: calls under way are answered", [live(1) + goaway()],
         [served()], bare=True),
    Case("5.4.2", "a reset is not answered with a reset", [OPEN + reset(1), live(3), ended(3)],
         [alive_and("no reset", lambda seen: 1 not in seen.resets)]),
    Case("5.5", "an unknown type within a block", [BLOCK_BEGUN + frame(Kind.UNKNOWN, 0, 1, b"x")],
         [PROTOCOL]),
    Case("5.5", "an unknown type between calls", [infer(1) + frame(Kind.UNKNOWN, 0, 0, bytes(100)) + live(3)],
         [served(3)]),
    Case("5.5", "an unknown setting", [settings({Setting.UNKNOWN: 7}) + live(1)], [served()]),
]  # fmt: skip

CASES = [*PREFACES, *FRAMES, *BLOCKS, *STREAMS, *ERRORS]
