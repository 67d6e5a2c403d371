"""The HTTP port against requests that two readers might take differently: what is behind one is not answered.

What their bytes mean is in tests/cpp/protocol/http1_ambiguity_test.cc; here is what the connection does.
"""

from __future__ import annotations

import pytest

from .conftest import ServerProcess
from .wire.http1_cases import CASES, Http1Case, right, run


def test_the_names_of_cases_differ() -> None:
    assert len({case.what for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_no_second_request_is_answered(server: ServerProcess, case: Http1Case) -> None:
    said = run(server.http, case)
    assert right(case, said), said
    assert server.call("GET", "/v2/health/live")[0] == 200
