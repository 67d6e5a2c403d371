"""The clients of the bench: what a relay records, and the open-loop client's accounts."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sidebyside.cuts import cut, record
from sidebyside.openloop import run_open_loop
from sidebyside.request_body import PreparedRequest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(statuses: Iterator[bytes], heard: list[bytes]) -> Iterator[int]:
    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    heard.append(data)
                    if data.endswith(b"end"):
                        connection.sendall(ANSWER.replace(b"200", next(statuses)))
            except OSError:
                pass

    def accept(listener: socket.socket) -> None:
        try:
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def test_a_relay_records_what_the_client_says_and_a_cut_says_part_of_it() -> None:
    heard: list[bytes] = []

    def call(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"hello end")
            assert client.recv(100) == ANSWER

    with server(iter([b"200"] * 100), heard) as port:
        said = record(port, call)
        assert said == b"hello end"
        heard.clear()
        for seed in range(20):
            cut(port, said, random.Random(seed))
    assert all(said.find(piece) >= 0 for piece in heard)


def test_the_open_loop_client_counts_answers_and_refusals() -> None:
    statuses = iter([b"200", b"503", b"500"] * 1000)
    with server(statuses, []) as port:
        request = PreparedRequest("http", f"http://127.0.0.1:{port}/x", {}, b"the end", 2)
        result = run_open_loop(request, port, rate=200, seconds=0.5, seed=1)
    total = len(result.answered_ms) + len(result.refused_ms) + result.num_failed
    assert total > 30
    assert abs(len(result.answered_ms) - len(result.refused_ms)) <= 1
    assert abs(len(result.answered_ms) - result.num_failed) <= 1
    assert result.goodput == len(result.answered_ms) / 0.5
