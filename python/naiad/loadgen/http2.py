"""As much of HTTP/2 as calls of one method need: prepared bytes out, status of the trailers in.

The peer is told to keep no table of header fields, so a block of them means the same wherever it stands, and
each is decoded once.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import hpack

DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    0,
    1,
    3,
    4,
    6,
    7,
    8,
    9,
)
_END_STREAM, _END_HEADERS, PADDED, _PRIORITY, _ACK = 1, 4, 8, 32, 1
_LARGEST_WINDOW = (1 << 31) - 1
_DEFAULT_WINDOW = 65535
_REPLENISH = 1 << 29
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TABLE_SIZE, _PUSH, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 4, 5
_LENGTH_AND_TYPE = struct.Struct(">HBBBI")

_STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

OK = ""
"""The outcome of a call that did not fail."""

Ended = Callable[[int, str], None]
"""Called with a stream and its outcome: OK, or what failed."""


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    length = len(body)
    return _LENGTH_AND_TYPE.pack(length >> 8, length & 255, kind, flags, stream) + body


@dataclass
class _Rest:
    """Of a request that the peer's windows do not let out yet."""

    stream: int
    body: memoryview
    window: int


class CallStream:
    """One connection, with no I/O: bytes in by ``receive``, out by ``write``."""

    def __init__(
        self,
        authority: str,
        path: str,
        write: Callable[[bytes], None],
        ended: Ended,
        *,
        scheme: str = "http",
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._write = write
        self._ended = ended
        self._head = _head_block(scheme, authority, path, metadata)
        self._next_stream = 1
        self._received = b""
        self._consumed = 0
        self._blocks: dict[int, bytes] = {}
        self._outcomes: dict[bytes, str] = {}
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._max_frame = 16384
        self._waiting: deque[_Rest] = deque()
        settings = struct.pack(">HIHIHI", _TABLE_SIZE, 0, _PUSH, 0, _INITIAL_WINDOW, _LARGEST_WINDOW)
        self._write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW))
        )
        self.closing = False
        """The peer takes no more calls."""

    def call(self, message: bytes) -> int:
        """Sends a request; gives its stream."""
        stream = self._next_stream
        self._next_stream += 2
        head = _frame(_HEADERS, _END_HEADERS, stream, self._head)
        size = len(message) + 5
        body = b"\0" + struct.pack(">I", len(message)) + message
        if not self._waiting and size <= min(self._window, self._stream_window, self._max_frame):
            self._window -= size
            self._write(head + _frame(DATA, _END_STREAM, stream, body))
            return stream
        self._write(head)
        self._waiting.append(_Rest(stream, memoryview(body), self._stream_window))
        self._send_waiting()
        return stream

    def receive(self, data: bytes) -> None:
        """Raises ValueError for what is no HTTP/2."""
        self._received = self._received + data if self._received else data
        received, at = self._received, 0
        while len(received) - at >= 9:
            high, low, kind, flags, stream = _LENGTH_AND_TYPE.unpack_from(received, at)
            length = high << 8 | low
            if len(received) - at - 9 < length:
                break
            self._frame(kind, flags, stream & _LARGEST_WINDOW, received[at + 9 : at + 9 + length])
            at += 9 + length
        self._received = received[at:]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._consumed += len(body)
            if self._consumed > _REPLENISH:
                self._write(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._consumed)))
                self._consumed = 0
            if flags & _END_STREAM:
                self._ended(stream, "an answer without a status")
        elif kind in (_HEADERS, _CONTINUATION):
            self._fields(kind, flags, stream, body)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settings(body)
            self._write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, body))
        elif kind == _WINDOW_UPDATE:
            self._widen(stream, struct.unpack(">I", body)[0])
        elif kind == _RST_STREAM:
            self._waiting = deque(rest for rest in self._waiting if rest.stream != stream)
            self._ended(stream, f"the server reset the call, error {struct.unpack('>I', body)[0]}")
        elif kind == _GOAWAY:
            self.closing = True

    def _fields(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _HEADERS:
            if flags & PADDED:
                body = body[1 : len(body) - body[0]]
            if flags & _PRIORITY:
                body = body[5:]
            if flags & _END_HEADERS and not flags & _END_STREAM:
                return  # of an answer that goes on: its trailers tell how it ends
            # The last bit of a block that goes on in other frames stands in the first one.
            self._blocks[stream] = (b"\1" if flags & _END_STREAM else b"\0") + body
        else:
            self._blocks[stream] += body
        if not flags & _END_HEADERS:
            return
        block = self._blocks.pop(stream)
        if block[0]:
            self._ended(stream, self._outcome(block[1:]))

    def _outcome(self, block: bytes) -> str:
        known = self._outcomes.get(block)
        if known is None:
            known = _decode(block)
            if len(self._outcomes) < 1000:
                self._outcomes[block] = known
        return known

    def _settings(self, body: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", body):
            if name == _INITIAL_WINDOW:
                for rest in self._waiting:
                    rest.window += value - self._stream_window
                self._stream_window = value
            elif name == _MAX_FRAME:
                self._max_frame = value
        self._send_waiting()

    def _widen(self, stream: int, amount: int) -> None:
        if stream == 0:
            self._window += amount
        for rest in self._waiting:
            if rest.stream == stream:
                rest.window += amount
        self._send_waiting()

    def _send_waiting(self) -> None:
        """In their order: one that waits for its own window lets those behind it wait too."""
        while self._waiting:
            rest = self._waiting[0]
            size = min(self._window, rest.window, self._max_frame, len(rest.body))
            if size <= 0:
                return
            last = size == len(rest.body)
            self._write(_frame(DATA, _END_STREAM if last else 0, rest.stream, bytes(rest.body[:size])))
            self._window -= size
            rest.window -= size
            rest.body = rest.body[size:]
            if last:
                self._waiting.popleft()


def _head_block(scheme: str, authority: str, path: str, metadata: Sequence[tuple[str, str]]) -> bytes:
    fields = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "naiad-bench"),
        *((name.lower(), value) for name, value in metadata),
    ]
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    # Without the word on the table's size, which may stand in the first block only.
    encoder.encode([])
    return bytes(encoder.encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields], huffman=False))


def _decode(block: bytes) -> str:
    decoder = hpack.Decoder()
    try:
        fields = {str(name): str(value) for name, value in decoder.decode(block)}
    except hpack.HPACKError as error:
        return f"trailers that can not be read: {error}"
    status = fields.get("grpc-status")
    if status == "0":
        return OK
    if status is None:
        return f"an answer without a status (HTTP {fields.get(':status', '?')})"
    number = int(status) if status.isdecimal() else -1
    name = _STATUSES[number] if 0 <= number < len(_STATUSES) else f"status {status}"
    return f"{name}: {fields.get('grpc-message', '')}"
