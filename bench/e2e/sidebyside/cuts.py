"""Clients that are cut off at any byte of what they say, while others go on being answered.

What a client says is recorded once from a well-behaved one (through a relay on a port of its own) and then
said again, up to a random byte: then the connection is closed, or reset.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)


def record(port: int, call: Callable[[int], None]) -> bytes:
    """All bytes that the client in `call`, which gets the relay's port, says to the server on `port`."""
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as relay:

        def pump(source: socket.socket, target: socket.socket, keep: list[bytes] | None) -> None:
            try:
                while data := source.recv(65536):
                    if keep is not None:
                        keep.append(data)
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def accept() -> None:
            client, _ = relay.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=pump, args=(server, client, None), daemon=True)
                back.start()
                pump(client, server, said)
                back.join(5)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        call(relay.getsockname()[1])
        thread.join(5)
    return b"".join(said)


@dataclass
class CutLedger:
    """What became of those that were not cut. Times in ms."""

    num_cuts: int = 0
    num_right: int = 0
    num_wrong: int = 0
    problems: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0


def cut(port: int, said: bytes, draw: random.Random) -> None:
    """Says a random part of it, in one piece or two, and goes in one of three ways."""
    end = draw.randrange(len(said) + 1)
    middle = draw.randrange(end + 1)
    way = draw.randrange(3)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            for piece in (said[:middle], said[middle:end]):
                if piece:
                    connection.sendall(piece)
                if draw.random() < 0.3:
                    time.sleep(draw.random() * 0.001)
            if way == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif way == 1:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server was first to close


def run_cuts(
    port: int, said: bytes, count: int, ask: Callable[[], bool], *, seed: int = 0, num_askers: int = 2
) -> CutLedger:
    """`count` cut clients, while `num_askers` threads `ask`: whether the answer was right; raises when none
    came. Blocks.
    """
    ledger = CutLedger()
    ended = threading.Event()
    lock = threading.Lock()

    def asker() -> None:
        while not ended.is_set():
            start = time.perf_counter()
            try:
                right = ask()
                problem = "" if right else "a wrong answer"
            except Exception as error:
                right, problem = False, f"{type(error).__name__}: {error}"
            spent_ms = (time.perf_counter() - start) * 1e3
            with lock:
                ledger.num_right += right
                ledger.num_wrong += not right
                ledger.slowest_ms = max(ledger.slowest_ms, spent_ms)
                if problem and len(ledger.problems) < 5:
                    ledger.problems.append(problem)

    threads = [threading.Thread(target=asker) for _ in range(num_askers)]
    for thread in threads:
        thread.start()
    draw = random.Random(seed)
    try:
        for _ in range(count):
            cut(port, said, draw)
            ledger.num_cuts += 1
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    return ledger
