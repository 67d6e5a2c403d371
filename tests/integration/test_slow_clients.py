"""Clients that are slow on purpose: heads and bodies byte by byte, answers that are not taken, over both
protocols. Others are answered all the while, and when the slow ones have gone nothing is left of them.

``make soak`` has two thousand of them (NAIAD_SLOW_CLIENTS), and says how much slower the others were.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from .conftest import IDENTITY, ServerProcess, Start, until, write_model
from .ledger.book import Ledger, Outcome
from .ledger.http_asker import GoneError, HttpConnection, json_request
from .test_cuts import reading
from .test_ledger import RESTING

SLOW = int(os.environ.get("NAIAD_SLOW_CLIENTS", "100"))
LONG = SLOW >= 1000
# How long it is from byte to byte on each connection, and how long all are held.
PAUSE_S = 5.0 if LONG else 0.2
HELD_S = 60.0 if LONG else 2.0
# A sixth of them do not take an answer of 300 KB.
MAX_GROWTH_BYTES = 100 << 10
BYSTANDERS = 8


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("slow")
    write_model(repository, "identity", IDENTITY)
    return start_server(repository)


@contextmanager
def held(server: ServerProcess) -> Iterator[list[int]]:
    """Slow clients that go on; in the end the list gets how many of them were closed."""
    command = [sys.executable, "-m", "tests.integration.ledger.slow", server.http, server.grpc]
    closed: list[int] = []
    with subprocess.Popen(
        [*command, str(SLOW), str(PAUSE_S)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield closed
        finally:
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    closed.append(int(said))


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
    process = psutil.Process(served.process.pid)
    files, threads = process.num_fds(), process.num_threads()
    ledger, alone = ask_for(served, HELD_S)
    ledger.check()
    memory = process.memory_info().rss
    with held(served) as closed:
        until(lambda: reading(served, "naiad_open_connections") >= SLOW * 0.8, "they are all there")
        ledger, beside = ask_for(served, HELD_S)
        there = reading(served, "naiad_open_connections")
        grown = process.memory_info().rss - memory
        ledger.check()
    print(
        f"{SLOW} slow connections for {HELD_S:g} s ({there} in the end), {closed[0]} closed and made anew: "
        f"p99 of {BYSTANDERS} others {p99(alone):.2f} ms before, {p99(beside):.2f} ms beside them; {ledger}; "
        f"memory {grown / SLOW / 1024:.1f} KiB a connection"
    )
    if LONG:
        # A machine that has other work to do needs `chrt -r 5` before the command for this.
        assert p99(beside) <= max(2 * p99(alone), p99(alone) + 50)
    assert grown < (64 << 20) + SLOW * MAX_GROWTH_BYTES
    until(lambda: not any(reading(served, name) for name in RESTING), "all is let go of")
    until(lambda: process.num_fds() <= files + 2, "its descriptors are closed")
    assert process.num_threads() <= threads + 2
