"""Mixed traffic, over both protocols at once: each request ends exactly once, as the right answer, as a typed
error, or given up by its client; and nothing of it is left in the server.

``make soak`` sends a million (NAIAD_REQUESTS) and bounds what the server's memory grows by.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from itertools import combinations

import psutil
import pytest

from .conftest import ServerProcess, Start, until
from .ledger.book import Ledger, Outcome
from .ledger.http_asker import GoneError, HttpConnection, UnreadError, json_request
from .ledger.models import write_ledger_models
from .ledger.traffic import Traffic
from .test_cuts import reading
from .test_metrics import sample, scrape

REQUESTS = int(os.environ.get("NAIAD_REQUESTS", "4000"))
SEED = int(os.environ.get("NAIAD_SEED", "20261128"))
# Below it a slope says nothing: the server's memory is still warming up.
MEANS_SOMETHING = 500_000
MAX_SLOPE_BYTES = 4.0
RESTING = ("naiad_open_connections", "naiad_in_flight_requests", "naiad_in_flight_bytes")


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("ledger")
    write_ledger_models(repository)
    return start_server(repository)


def resident_bytes(server: ServerProcess) -> int:
    """Of the server and its workers."""
    process = psutil.Process(server.process.pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


def slope(samples: list[tuple[int, int]]) -> float:
    """Theil and Sen's: the median of what all pairs say, bytes for each request."""
    return statistics.median(
        (after[1] - before[1]) / (after[0] - before[0])
        for before, after in combinations(samples, 2)
        if after[0] > before[0]
    )


def check_conservation(server: ServerProcess, ledger: Ledger) -> None:
    """The server has done no more than was asked, and no less than was answered."""
    text = scrape(server)
    given_up = ledger.count(Outcome.CANCELLED) + ledger.errors["DEADLINE_EXCEEDED"]
    for model, rights in ledger.rights.items():
        done = sample(text, "nv_inference_request_success", model=model, version="1")
        assert rights <= done <= rights + given_up, model


@pytest.mark.timeout(120 if REQUESTS <= 10_000 else 7200)
def test_mixed_traffic(served: ServerProcess) -> None:
    process = psutil.Process(served.process.pid)
    traffic = Traffic(served.http, served.grpc, seed=SEED, requests=REQUESTS)
    samples: list[tuple[int, int]] = []
    files = process.num_fds()

    def look() -> None:
        if traffic.ledger.size >= REQUESTS // 10:
            samples.append((traffic.ledger.size, resident_bytes(served)))

    start_s = time.monotonic()
    traffic.start()
    traffic.wait(2 if REQUESTS <= 10_000 else 5, look)
    seconds = time.monotonic() - start_s
    ledger = traffic.ledger
    print(f"seed {SEED}: {ledger}; errors {dict(ledger.errors)}; {seconds:.0f} s")
    ledger.check()
    assert ledger.size >= REQUESTS
    assert ledger.count(Outcome.UNSENT) == 0
    assert all(ledger.rights[model] > 0 for model in ("identity", "sums", "worker", "repeat"))
    assert all(ledger.errors[kind] > 0 for kind in ("400", "500", "INVALID_ARGUMENT", "INTERNAL", "stream"))
    until(lambda: not any(reading(served, name) for name in RESTING), "all is let go of")
    check_conservation(served, ledger)
    until(lambda: process.num_fds() <= files + 2, "its descriptors are closed")
    assert "Traceback" not in served.log
    if REQUESTS >= MEANS_SOMETHING:
        grown = slope(samples)
        print(f"memory: {grown:.2f} bytes a request, {samples[0][1] >> 20} to {samples[-1][1] >> 20} MiB")
        assert grown <= MAX_SLOPE_BYTES


@pytest.mark.parametrize("is_read", [True, False])
def test_the_client_knows_what_was_read(monkeypatch: pytest.MonkeyPatch, is_read: bool) -> None:
    """Of a request that was taken and never answered, and of one that met a closed connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = HttpConnection(f"127.0.0.1:{listener.getsockname()[1]}")
        client.open()
        server, _ = listener.accept()
        # The close may come behind the client's look.
        monkeypatch.setattr(HttpConnection, "_is_closed", lambda *_: False)
        if is_read:
            reader = threading.Thread(target=lambda: (server.recv(1 << 16), server.close()))
            reader.start()
        else:
            server.close()
        with pytest.raises(GoneError) as caught:
            client.ask(json_request("identity", 1, [1]))
        assert isinstance(caught.value, UnreadError) is not is_read


def test_the_ledger_sees_what_goes_wrong() -> None:
    ledger = Ledger()
    first, second, third = (ledger.open() for _ in range(3))
    ledger.enter(first, Outcome.RIGHT)
    ledger.enter(second, Outcome.ERROR)
    with pytest.raises(AssertionError):
        ledger.check()  # the third is lost
    ledger.enter(third, Outcome.CANCELLED)
    ledger.check()
    ledger.enter(first, Outcome.RIGHT)
    with pytest.raises(AssertionError):
        ledger.check()  # the first is doubled
