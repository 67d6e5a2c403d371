from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sidebyside.placement import Placement, choose_placement

SHOW_CPUS = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]


def test_the_client_gets_a_cpu_of_its_own() -> None:
    placement = choose_placement(frozenset({0, 2, 5}), pinned=True)
    assert placement == Placement(frozenset({0, 2}), frozenset({5}))
    assert "pinned" in str(placement)


def test_free_shares_all() -> None:
    placement = choose_placement(frozenset({0, 1}), pinned=False)
    assert placement.server_cpus == placement.client_cpus == {0, 1}
    assert "free" in str(placement)


def test_one_cpu_cannot_be_shared_out() -> None:
    with pytest.raises(ValueError, match="--placement=free"):
        choose_placement(frozenset({3}), pinned=True)


def test_children_start_where_they_should_and_the_bench_comes_back() -> None:
    before = os.sched_getaffinity(0)
    placement = Placement(frozenset({min(before)}), frozenset({max(before)}))
    with placement.starting_server():
        server = subprocess.run(SHOW_CPUS, capture_output=True, text=True, check=True).stdout.strip()
    with placement.starting_client():
        client = subprocess.run(SHOW_CPUS, capture_output=True, text=True, check=True).stdout.strip()
    assert server == str([min(before)])
    assert client == str([max(before)])
    assert os.sched_getaffinity(0) == before
