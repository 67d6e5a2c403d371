"""A client of HTTP/2 that sends whatever it is told to, and notes what comes back. It knows nothing of the
server's library: frames are read by hyperframe, header blocks by hpack.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import hpack
from hyperframe import frame as frames

from .frames import DEFAULT_FRAME, PREFACE, live, ping, settings

PATIENCE_S = 5.0


@dataclass
class Seen:
    """What one server has said on one connection. Keys are numbers of streams."""

    fields: dict[int, dict[str, str]] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    resets: dict[int, int] = field(default_factory=dict)
    goaways: list[tuple[int, int]] = field(default_factory=list)
    """Codes, and the last streams that they name."""
    pongs: list[bytes] = field(default_factory=list)
    settings: dict[int, int] = field(default_factory=dict)
    acks: int = 0
    greeted: bool = False
    closed: bool = False

    def grpc_status(self, stream: int) -> str | None:
        return self.fields.get(stream, {}).get("grpc-status")

    def __str__(self) -> str:
        """For the message of a failed test."""
        answers = {
            stream: (found.get(":status"), found.get("grpc-status"), len(self.bodies.get(stream, b"")))
            for stream, found in self.fields.items()
        }
        return (
            f"answers {answers}, ended {sorted(self.ended)[:9]}, resets {list(self.resets.items())[:9]}, "
            f"goaways {self.goaways}, pongs {len(self.pongs)}, acks {self.acks}, "
            f"{'closed' if self.closed else 'open'}"
        )


class Client:
    """One connection. Reads while it writes, so that neither side waits for the other for ever."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.seen = Seen()
        self.quiet = False
        """Leaves SETTINGS and pings of the server without acknowledgement."""
        self._rest = b""
        self._replies = b""
        self._decoder = hpack.Decoder()
        self._open_block: tuple[frames.HeadersFrame, bytes] | None = None

    def start(self) -> None:
        """The greeting of both sides, without fault."""
        self.send(PREFACE + settings())
        self.until(lambda: (self.seen.greeted and self.seen.acks > 0) or self.seen.closed)
        assert not self.seen.closed, f"the server did not greet: {self.seen}"

    def send(self, content: bytes) -> None:
        """As far as the server takes it: one that has closed takes no more."""
        left = memoryview(content if self.quiet else self._take_replies() + content)
        end = time.monotonic() + PATIENCE_S * 4
        while left and not self.seen.closed:
            assert time.monotonic() < end, f"the server stopped reading: {self.seen}"
            readable, writable, _ = select.select([self.socket], [self.socket], [], PATIENCE_S)
            if readable:
                self._receive()
            if writable:
                try:
                    left = left[self.socket.send(left[: 1 << 18]) :]
                except BlockingIOError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    self.drain()
                    return

    def until(self, true: Callable[[], object], patience_s: float = PATIENCE_S) -> bool:
        """Reads until something is true, or the time is over."""
        end = time.monotonic() + patience_s
        while not true():
            if self._replies and not self.quiet:
                self.send(b"")
                continue
            left = end - time.monotonic()
            if left <= 0 or self.seen.closed:
                return bool(true())
            if select.select([self.socket], [], [], left)[0]:
                self._receive()
        return True

    def drain(self) -> None:
        """Reads what the server said before it closed."""
        self.until(lambda: self.seen.closed)

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> None:
        try:
            got = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            got = b""
        if not got:
            self.seen.closed = True
            return
        self._rest += got
        while len(self._rest) >= 9:
            got_frame, size = frames.Frame.parse_frame_header(memoryview(self._rest[:9]))
            assert size <= DEFAULT_FRAME, f"a frame of {size} bytes, longer than was allowed"
            if len(self._rest) < 9 + size:
                return
            got_frame.parse_body(memoryview(self._rest[9 : 9 + size]))
            self._rest = self._rest[9 + size :]
            self._note(got_frame)

    def _note(self, got: frames.Frame) -> None:
        seen = self.seen
        if self._open_block is not None:
            assert isinstance(got, frames.ContinuationFrame), f"{got} inside a header block"
        match got:
            case frames.HeadersFrame() | frames.ContinuationFrame():
                first, content = self._open_block or (got, b"")
                content += got.data
                self._open_block = None if "END_HEADERS" in got.flags else (first, content)
                if self._open_block is None:
                    decoded = self._decoder.decode(content)
                    seen.fields.setdefault(got.stream_id, {}).update((str(n), str(v)) for n, v in decoded)
                    if "END_STREAM" in first.flags:
                        seen.ended.add(got.stream_id)
            case frames.DataFrame():
                seen.bodies[got.stream_id] = seen.bodies.get(got.stream_id, b"") + got.data
                if "END_STREAM" in got.flags:
                    seen.ended.add(got.stream_id)
            case frames.RstStreamFrame():
                seen.resets[got.stream_id] = got.error_code
            case frames.GoAwayFrame():
                seen.goaways.append((got.error_code, got.last_stream_id))
            case frames.PingFrame() if "ACK" in got.flags:
                seen.pongs.append(bytes(got.opaque_data))
            case frames.PingFrame():
                self._replies += ping(bytes(got.opaque_data), ack=True)
            case frames.SettingsFrame() if "ACK" in got.flags:
                seen.acks += 1
            case frames.SettingsFrame():
                seen.settings.update(got.settings)
                seen.greeted = True
                self._replies += settings(ack=True)

    def _take_replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """A connection that is closed in the end."""
    client = Client(address)
    try:
        yield client
    finally:
        client.close()


def check_served(address: str) -> None:
    """A client that does nothing wrong gets its answer."""
    with connected(address) as client:
        client.start()
        client.send(live(1))
        client.until(lambda: 1 in client.seen.ended)
        assert client.seen.grpc_status(1) == "0", f"a client beside it is not served: {client.seen}"
