"""Clients that are slow on purpose: heads and bodies byte by byte, answers that are not taken, over both
protocols. Others are answered all the while, and when the slow ones have gone nothing is left of them.

``make soak`` has two thousand of them (NAIAD_SLOW_CLIENTS), and says how much slower the others were.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from .conftest import IDENTITY, ServerProcess, Start, until, write_model
from .ledger.book import Ledger, Outcome
from .ledger.http_asker import GoneError, HttpConnection, json_request, post
from .test_cuts import reading
from .test_ledger import RESTING
from .wire.frames import PREFACE, Setting, call, data, headers, infer, message, settings

SLOW = int(os.environ.get("NAIAD_SLOW_CLIENTS", "100"))
LONG = SLOW >= 1000
# How long it is from byte to byte on each connection, and how long all are held.
PAUSE_S = 5.0 if LONG else 0.2
HELD_S = 60.0 if LONG else 2.0
SEED = 20261128
# A sixth of them do not take an answer of 300 KB.
MAX_GROWTH_BYTES = 100 << 10
BYSTANDERS = 8


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("slow")
    write_model(repository, "identity", IDENTITY)
    return start_server(repository)


class SlowClient:
    """Says ``first`` at once and ``rest`` a byte at a time, and reads nothing. When the server has closed, it
    comes again."""

    def __init__(self, address: str, first: bytes, rest: bytes) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._first = first
        self._rest = rest
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
            self._due_s = time.monotonic() + PAUSE_S
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


def slow_clients(server: ServerProcess, count: int) -> list[SlowClient]:
    """Of each kind as many."""
    body = post("/v2/models/identity/infer", bytes(100_000))
    head = body.index(b"\r\n\r\n") + 4
    large = raw_request(75_000)
    window_0 = PREFACE + settings({Setting.WINDOW: 0})
    trickled = headers(1, call("ModelInfer")) + data(1, message(size=100_000))
    kinds = [
        (server.http, b"", body[:head]),
        (server.http, body[:head], body[head:]),
        (server.http, large, body[:head]),
        (server.grpc, b"", PREFACE),
        (server.grpc, PREFACE + settings() + trickled, b"".join(data(1, b"x") for _ in range(99))),
        (server.grpc, window_0 + infer(1, 3000), settings()),
    ]
    return [SlowClient(*kinds[number % len(kinds)]) for number in range(count)]


@contextmanager
def held(server: ServerProcess, count: int) -> Iterator[list[SlowClient]]:
    """Slow clients that go on, on a thread of their own."""
    clients = slow_clients(server, count)
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(0.2):
            for client in clients:
                client.go_on()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield clients
    finally:
        done.set()
        thread.join()
        for client in clients:
            client.close()


def ask_for(server: ServerProcess, seconds: float) -> tuple[Ledger, list[float]]:
    """Bystanders that are answered, each time in ms."""
    ledger, times = Ledger(), []
    end = time.monotonic() + seconds

    def ask() -> None:
        connection = HttpConnection(server.http)
        while time.monotonic() < end:
            number = ledger.open()
            start = time.perf_counter()
            try:
                answer = connection.ask(json_request("identity", number, [number % 1000]))
                right = answer.status == 200 and b'"data":[%d.0]' % (number % 1000) in answer.body
                ledger.enter(number, Outcome.RIGHT if right else Outcome.WRONG, str(answer), "identity")
            except GoneError as error:
                ledger.enter(number, Outcome.WRONG, str(error))
            times.append((time.perf_counter() - start) * 1e3)
            time.sleep(0.01)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(BYSTANDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ledger, sorted(times)


def p99(times: list[float]) -> float:
    return times[len(times) * 99 // 100]


@pytest.mark.timeout(120 if not LONG else 600)
def test_slow_clients_hold_up_nobody(served: ServerProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * SLOW + 500)), hard))
    process = psutil.Process(served.process.pid)
    files, threads = process.num_fds(), process.num_threads()
    ledger, alone = ask_for(served, HELD_S)
    ledger.check()
    memory = process.memory_info().rss
    with held(served, SLOW) as clients:
        until(lambda: reading(served, "naiad_open_connections") >= SLOW * 0.8, "they are all there")
        ledger, beside = ask_for(served, HELD_S)
        there = reading(served, "naiad_open_connections")
        grown = process.memory_info().rss - memory
        ledger.check()
        again = sum(client.num_closed for client in clients)
    print(
        f"{SLOW} slow connections for {HELD_S:g} s ({there} in the end), {again} closed and made anew: "
        f"p99 of {BYSTANDERS} others {p99(alone):.2f} ms before, {p99(beside):.2f} ms beside them; {ledger}; "
        f"memory {grown / SLOW / 1024:.1f} KiB a connection"
    )
    assert grown < (64 << 20) + SLOW * MAX_GROWTH_BYTES
    until(lambda: not any(reading(served, name) for name in RESTING), "all is let go of")
    until(lambda: process.num_fds() <= files + 2, "its descriptors are closed")
    assert process.num_threads() <= threads + 2
