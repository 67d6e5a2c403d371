"""SIGTERM at a random moment, with clients of both protocols and streams at work: each request ends as the
right answer or is told that the server stops; nobody is left without a word.

``make soak`` drains a hundred servers (NAIAD_DRAINS).
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from .conftest import Start
from .ledger.book import Failure, Outcome
from .ledger.models import write_ledger_models
from .ledger.traffic import STEADY_GRPC, STEADY_HTTP, Traffic
from .ledger.verdict import stopping

DRAINS = int(os.environ.get("NAIAD_DRAINS", "2"))
SEED = int(os.environ.get("NAIAD_SEED", "20261128"))
CLIENTS = 200


def ends_a_client(failure: Failure) -> bool:
    """Each has a request out when the signal comes, and asks until it is told."""
    return failure.code == "unsent" or stopping(failure) or "Server is stopping" in failure.text


@pytest.mark.timeout(120 if DRAINS < 10 else 3600)
def test_a_drain_loses_nothing(start_server: Start, tmp_path: Path) -> None:
    write_ledger_models(tmp_path)
    draw = random.Random(SEED)
    total: dict[str, int] = {}
    longest_s = 0.0
    for number in range(DRAINS):
        server = start_server(tmp_path)
        traffic = Traffic(
            server.http,
            server.grpc,
            seed=SEED + number,
            clients=CLIENTS,
            allowed=lambda failure: stopping(failure) or "Server is stopping" in failure.text,
            last=ends_a_client,
            http_mix=STEADY_HTTP,
            grpc_mix=STEADY_GRPC,
        )
        with traffic:
            # Each client has a request out, or is between two.
            traffic.until(2 * CLIENTS)
            time.sleep(draw.random() * 0.5)
            server.signal()
            signalled_s = time.monotonic()
            traffic.wait()
            assert server.wait() == 0, server.log
            longest_s = max(longest_s, time.monotonic() - signalled_s)
        traffic.ledger.check()
        for outcome in Outcome:
            total[outcome.name.lower()] = total.get(outcome.name.lower(), 0) + traffic.ledger.count(outcome)
        assert "Traceback" not in server.log
    print(f"seed {SEED}: {DRAINS} drains with {CLIENTS} clients: {total}; longest {longest_s:.2f} s")
    assert total["right"] > DRAINS * CLIENTS
