"""The gRPC port against clients that get HTTP/2, HPACK or gRPC wrong: each is told what the RFC says, and no
other one notices. The cases follow the list of h2spec and go beyond it; ``wire/`` has their tables, and
tests/peers/test_wire.py asks the same of a real Triton.

One section: ``pytest tests/integration/test_http2_cases.py -k 'test_answer and 6.9'``.
"""

from __future__ import annotations

import pytest

from .conftest import ServerProcess
from .wire import connection_cases, frame_cases, grpc_cases, message_cases
from .wire.cases import Case, answered, run
from .wire.client import check_served, connected

CASES = [*connection_cases.CASES, *frame_cases.CASES, *message_cases.CASES, *grpc_cases.CASES]


def test_the_names_of_cases_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 240


def test_early_answer(server: ServerProcess) -> None:
    """One that is complete before its call stops that, without blame (RFC 9113, section 8.1)."""
    with connected(server.grpc) as client:
        client.start()
        client.send(message_cases.EARLY)
        client.until(lambda: 1 in client.seen.resets)
        assert (client.seen.grpc_status(1), client.seen.resets, client.seen.ended) == ("13", {1: 0}, {1})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer(server: ServerProcess, case: Case) -> None:
    seen = run(server.grpc, case)
    if case.instead is not None:
        assert case.reason
        assert case.instead.verdict(seen), f"not {case.instead.words} any more: {seen}"
    else:
        assert answered(case, seen), (
            f"expected {' or '.join(each.words for each in case.allowed)}; saw {seen}"
        )
    check_served(server.grpc)
