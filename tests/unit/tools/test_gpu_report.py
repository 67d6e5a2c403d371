"""The table of ``make gpu``: nothing of a dry run is a figure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "gpu"))
from report import Outcome, draft, results_in, table

OUTCOMES = {
    "build": Outcome("passed", "torch 2", took_s=61.25),
    "serving": Outcome(
        "failed",
        "two: no GPU",
        [
            {"way": "bare loop", "compute_ms": 1.23456},
            {"way": "two", "failed": "no GPU"},
            {"way": "three", "busy": None},
        ],
    ),
    "memory": Outcome("passed", table=["| copy | 5.00 | GB/s |"]),
}


def test_a_dry_run_shows_no_figures() -> None:
    text = table(OUTCOMES, dry=True)
    assert "build            passed     61.2 s  torch 2" in text
    assert "1.23" not in text and "GB/s" not in text
    assert text.endswith("a dry run: no GPU has done any of this, and its figures say nothing")


def test_what_was_measured_is_in_the_table_and_in_the_draft(tmp_path: Path) -> None:
    text = table(OUTCOMES, dry=False)
    path = draft(tmp_path / "results", {"GPU": "a card"}, OUTCOMES)
    assert path.name.startswith("gpu-") and path.suffix == ".md"
    written = path.read_text()
    assert "- GPU: a card" in written and "(a draft)" in written
    for where in (text, written):
        assert "| bare loop | 1.235 |" in where
        assert "| two | no GPU |" in where
        assert "| three | not told |" in where
        assert "| copy | 5.00 | GB/s |" in where


@pytest.mark.parametrize("output", ["", "no JSON", '{"other": 1}', "[1]"])
def test_a_bench_that_said_nothing_has_no_results(output: str) -> None:
    assert results_in(output) == []


def test_results_are_in_the_last_line() -> None:
    assert results_in('loading\n{"results": [{"way": "one"}]}\n') == [{"way": "one"}]
