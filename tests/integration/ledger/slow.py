"""Clients that are slow on purpose, in a process of their own: so a crowd costs those beside it no time.

    python -m tests.integration.ledger.slow HTTP GRPC COUNT PAUSE_S

goes on until its standard input ends, then prints how many of them the server has closed.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time

from ..wire.frames import PREFACE, Setting, call, data, headers, infer, message, settings
from .http_asker import post


class SlowClient:
    """Says ``first`` at once and ``rest`` a byte at a time, and reads nothing. When the server has closed, it
    comes again."""

    def __init__(self, address: str, first: bytes, rest: bytes, pause_s: float) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._first = first
        self._rest = rest
        self._pause_s = pause_s
        self._at = 0
        self._due_s = 0.0
        self.num_closed = -1
        self._socket: socket.socket | None = None
        self.go_on()

    def go_on(self) -> None:
        try:
            if self._socket is not None and self._socket.recv(1, socket.MSG_PEEK) == b"":
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        try:
            self._speak()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _speak(self) -> None:
        if self._socket is None:
            self._socket = socket.socket()
            # So that an answer stays with the server.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._socket.settimeout(30)
            self._socket.connect(self._address)
            self._socket.setblocking(False)
            self.num_closed += 1
            self._at = 0
            self._socket.sendall(self._first)
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + self._pause_s
            self._at += self._socket.send(self._rest[self._at : self._at + 1])
            self._at %= len(self._rest)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def raw_request(count: int) -> bytes:
    """So many values as bytes, and bytes back."""
    tensor = {"name": "INPUT0", "shape": [1, count], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": 4 * count}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post("/v2/models/identity/infer", head + bytes(4 * count), length)


def slow_clients(http: str, grpc: str, count: int, pause_s: float) -> list[SlowClient]:
    """Of each kind as many."""
    body = post("/v2/models/identity/infer", bytes(100_000))
    head = body.index(b"\r\n\r\n") + 4
    large = raw_request(75_000)
    window_0 = PREFACE + settings({Setting.WINDOW: 0})
    trickled = headers(1, call("ModelInfer")) + data(1, message(size=100_000))
    kinds = [
        (http, b"", body[:head]),
        (http, body[:head], body[head:]),
        (http, large, body[:head]),
        (grpc, b"", PREFACE),
        (grpc, PREFACE + settings() + trickled, b"".join(data(1, b"x") for _ in range(99))),
        (grpc, window_0 + infer(1, 3000), settings()),
    ]
    return [SlowClient(*kinds[number % len(kinds)], pause_s) for number in range(count)]


def main(http: str, grpc: str, count: str, pause_s: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, int(count) + 500)), hard))
    clients = slow_clients(http, grpc, int(count), float(pause_s))
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        for client in clients:
            client.go_on()
    print(sum(client.num_closed for client in clients))


if __name__ == "__main__":
    main(*sys.argv[1:])
