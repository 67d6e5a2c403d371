"""What is within the rules, but far too many times: CVE-2019-9511 to 9518, 2023-44487, 2024-27316,
2025-8671 and their kin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .cases import Answer, Verdict
from .client import Client, Seen
from .connection_cases import LIVE, OPEN
from .frames import (
    DEFAULT_FRAME,
    Code,
    Flag,
    Kind,
    Setting,
    block,
    call,
    continuation,
    data,
    frame,
    headers,
    infer,
    literal,
    live,
    message,
    ping,
    priority,
    reset,
    settings,
    window,
)

ROUNDS = 20_000
STREAM = block(call("ModelStreamInfer"))


@dataclass(frozen=True)
class Flood:
    """What a client repeats: ``round(i)`` for i from 0, behind ``first``."""

    what: str
    round: Callable[[int], bytes]
    allowed: Sequence[Answer]
    first: bytes = b""
    rounds: int = ROUNDS


def _cut_off(seen: Seen) -> Verdict:
    return True if seen.closed else None


def _borne(seen: Seen) -> Verdict:
    return False if seen.closed or seen.goaways else (True if seen.pongs else None)


def _refused(seen: Seen) -> Verdict:
    return True if seen.grpc_status(1) == "8" or seen.resets.get(1) == Code.CALM else _cut_off(seen)


CUT_OFF = Answer("the connection is ended, for instance with ENHANCE_YOUR_CALM", _cut_off)
BORNE = Answer("the connection goes on", _borne)
REFUSED = Answer("RESOURCE_EXHAUSTED, ENHANCE_YOUR_CALM, or the connection is ended", _refused)


def numbered(i: int) -> int:
    """The i-th stream of a client."""
    return 2 * i + 1


def bomb(i: int) -> bytes:
    """One call whose block of 16 KB names an entry of 4 KB ten thousand times."""
    entry = b"\x40\x06x-bomb" + b"\x7f\xa1\x1e" + b"b" * 4000
    content = LIVE + entry + b"\xbe" * 10_000
    first, second = content[:DEFAULT_FRAME], content[DEFAULT_FRAME:]
    stream = numbered(i)
    if not second:
        return headers(stream, first, end=True)
    return frame(Kind.HEADERS, Flag.END_STREAM, stream, first) + continuation(stream, second, last=True)


def long_list(i: int) -> bytes:
    """One call with 128 KB of fields."""
    content = LIVE + literal(b"x-long", b"a" * 120) * 1000
    parts = [content[at : at + DEFAULT_FRAME] for at in range(0, len(content), DEFAULT_FRAME)]
    stream = numbered(i)
    between = b"".join(continuation(stream, part) for part in parts[1:-1])
    return (
        frame(Kind.HEADERS, Flag.END_STREAM, stream, parts[0])
        + between
        + continuation(stream, parts[-1], last=True)
    )


# Many times what any client has a reason for: it is cut off.
ENDED = [
    Flood("PING", lambda i: ping(), [CUT_OFF]),
    Flood("SETTINGS", lambda i: settings({Setting.TABLE_SIZE: 4096 + i % 2}), [CUT_OFF]),
    Flood("empty SETTINGS", lambda i: settings(), [CUT_OFF]),
    Flood("empty DATA", lambda i: data(1), [CUT_OFF], first=OPEN),
    Flood("DATA of padding alone", lambda i: frame(0, Flag.PADDED, 1, b"\xff" + bytes(255)),
    [CUT_OFF], first=OPEN),
    Flood("PRIORITY", lambda i: priority(1, on=3), [CUT_OFF], first=OPEN),
    Flood("empty CONTINUATION", lambda i: continuation(1), [CUT_OFF], first=frame(Kind.HEADERS, 0, 1, LIVE)),
    Flood("CONTINUATION of 16 KB", lambda i: continuation(1, b"\x00\x01a\x01b" * 3276), [CUT_OFF],
          first=frame(Kind.HEADERS, 0, 1, LIVE), rounds=2000),
    Flood("rapid reset", lambda i: headers(numbered(i), STREAM) + reset(numbered(i)), [CUT_OFF]),
    Flood("rapid reset of requests", lambda i: infer(numbered(i)) + reset(numbered(i)), [CUT_OFF]),
    Flood("resets that the server is made to send: a window by 0",
          lambda i: headers(numbered(i), STREAM) + window(numbered(i), 0), [CUT_OFF]),
    Flood("resets that the server is made to send: DATA behind the end",
          lambda i: headers(numbered(i), call(), end=True) + data(numbered(i), b"x"), [CUT_OFF]),
    Flood("resets that the server is made to send: a window beyond 2^31 - 1",
          lambda i: headers(numbered(i), STREAM) + window(numbered(i), (1 << 31) - 1), [CUT_OFF]),
    Flood("malformed calls", lambda i: headers(numbered(i), LIVE + literal(b"upgrade", b"h2c"), end=True),
    [CUT_OFF]),
]  # fmt: skip

# Of these a client may have reasons, or each is refused by itself: nothing grows.
BOUNDED = [
    Flood("unknown types", lambda i: frame(Kind.UNKNOWN, 0, 0, b"x"), [BORNE, CUT_OFF]),
    # A client that gives up all its calls at once is no attacker: naiad bears 1000, and 200 a second.
    Flood("900 resets", lambda i: headers(numbered(i), STREAM) + reset(numbered(i)), [BORNE], rounds=900),
    Flood("WINDOW_UPDATE", lambda i: window(0, 1), [BORNE, CUT_OFF]),
    Flood("RST_STREAM of a call that is over", lambda i: reset(1), [BORNE, CUT_OFF], first=OPEN + reset(1)),
    Flood("DATA on a call that is over", lambda i: data(1, bytes(1000)),
    [BORNE, CUT_OFF], first=OPEN + reset(1)),
    Flood("pongs that nobody waits for", lambda i: ping(ack=True), [BORNE, CUT_OFF]),
    Flood("a message a byte at a time", lambda i: data(1, b"x"), [BORNE, CUT_OFF],
          first=headers(1, call("ModelInfer")) + data(1, message(size=1 << 20))),
    Flood("calls without an end", lambda i: headers(numbered(i), STREAM), [BORNE, CUT_OFF], rounds=5000),
    Flood("messages of 1 GB that do not come",
          lambda i: headers(numbered(i), call("ModelInfer")) + data(numbered(i), message(size=1 << 30)),
          [BORNE, CUT_OFF], rounds=500),
    Flood("answers that are not taken", lambda i: infer(numbered(i), 3000), [BORNE, CUT_OFF],
          first=settings({Setting.WINDOW: 0}), rounds=500),
    Flood("an HPACK bomb", bomb, [REFUSED], rounds=20),
    Flood("header lists of 128 KB", long_list, [REFUSED], rounds=50),
    Flood("refused calls", lambda i: live(numbered(i), call(content_type="text/plain")),
    [BORNE, CUT_OFF], rounds=5000),
]  # fmt: skip


def send(client: Client, flood: Flood) -> None:
    """All rounds, and a ping; a server that has closed gets no more."""
    client.send(flood.first)
    for begin in range(0, flood.rounds, 500):
        client.send(b"".join(flood.round(i) for i in range(begin, min(begin + 500, flood.rounds))))
        if client.seen.closed:
            return
    client.send(ping())
