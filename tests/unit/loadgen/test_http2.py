"""Frames of HTTP/2 against a peer that is played here."""

from __future__ import annotations

import struct

import hpack
import pytest

from naiad.loadgen.http2 import OK, CallStream


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream, body."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def trailers(**fields: str) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([(name.replace("_", "-"), value) for name, value in fields.items()]))


class Peer:
    """Collects what a client says and how its calls end."""

    def __init__(self) -> None:
        self.said = b""
        self.ended: list[tuple[int, str]] = []
        self.stream = CallStream("h:1", "/s/m", self._write, lambda *call: self.ended.append(call))
        assert self.said.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.said = b""

    def _write(self, data: bytes) -> None:
        self.said += data

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        said, self.said = self.said, b""
        return frames(said)


def test_a_call() -> None:
    peer = Peer()
    assert peer.stream.call(b"abc") == 1
    head, data = peer.frames()
    assert head[:3] == (1, 4, 1)
    assert dict(hpack.Decoder().decode(head[3]))[":path"] == "/s/m"
    assert data == (0, 1, 1, b"\0\0\0\0\3abc")
    answer = frame(1, 4, 1, trailers(_status="200")) + frame(0, 0, 1, b"\0\0\0\0\1x")
    answer += frame(1, 5, 1, trailers(grpc_status="0"))
    for byte in range(len(answer)):
        peer.stream.receive(answer[byte : byte + 1])
    assert peer.ended == [(1, OK)]
    assert peer.stream.call(b"") == 3


def test_failures() -> None:
    peer = Peer()
    for _ in range(4):
        peer.stream.call(b"")
    block = trailers(grpc_status="5", grpc_message="no such model")
    peer.stream.receive(frame(1, 5, 1, block[:3]).replace(b"\5", b"\1", 1) + frame(9, 4, 1, block[3:]))
    peer.stream.receive(frame(3, 0, 3, struct.pack(">I", 8)))
    peer.stream.receive(frame(1, 5, 5, trailers(x="y")))
    peer.stream.receive(frame(1, 5, 7, b"\xff\xff\xff\xff\xff\xff"))
    outcomes = dict(peer.ended)
    assert outcomes[1] == "NOT_FOUND: no such model"
    assert "reset" in outcomes[3] and "without a status" in outcomes[5] and "can not be read" in outcomes[7]


def test_windows_are_kept() -> None:
    peer = Peer()
    peer.stream.call(b"x" * 100_000)
    peer.stream.call(b"y")
    sent = sum(len(body) for kind, _, _, body in peer.frames() if kind == 0)
    assert sent == 65535
    peer.stream.receive(frame(4, 0, 0, struct.pack(">HI", 4, 1 << 20)))
    assert [one[:3] for one in peer.frames()] == [(4, 1, 0)]
    peer.stream.receive(frame(8, 0, 0, struct.pack(">I", 1 << 20)))
    rest = [one for one in peer.frames() if one[0] == 0]
    assert sent + sum(len(body) for _, _, stream, body in rest if stream == 1) == 100_005
    assert rest[-1] == (0, 1, 3, b"\0\0\0\0\1y")
    assert all(len(body) <= 16384 for _, _, _, body in rest)


def test_pings_are_answered_and_goodbyes_noted() -> None:
    peer = Peer()
    peer.stream.receive(frame(6, 0, 0, b"12345678"))
    assert peer.frames() == [(6, 1, 0, b"12345678")]
    assert not peer.stream.closing
    peer.stream.receive(frame(7, 0, 0, b"\0" * 8))
    assert peer.stream.closing


@pytest.mark.parametrize("size", [1 << 29, (1 << 29) + 1])
def test_the_window_of_the_peer_is_refilled(size: int) -> None:
    peer = Peer()
    peer.stream._consumed = size - 10
    peer.stream.receive(frame(0, 0, 1, b"0123456789"))
    assert bool(peer.frames()) == (size > 1 << 29)
