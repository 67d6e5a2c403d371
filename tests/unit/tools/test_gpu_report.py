"""The table of ``make gpu``: nothing of a dry run is a figure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "gpu"))
from goals import rows_of
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
    text = table(OUTCOMES, rows_of(OUTCOMES), dry=True)
    assert "build            passed     61.2 s  torch 2" in text
    assert "1.23" not in text and "GB/s" not in text
    assert text.endswith("a dry run: no GPU has done any of this, and its figures say nothing")


def test_what_was_measured_is_in_the_table_and_in_the_draft(tmp_path: Path) -> None:
    text = table(OUTCOMES, rows_of(OUTCOMES), dry=False)
    path = draft(tmp_path / "results", {"GPU": "a card"}, OUTCOMES, rows_of(OUTCOMES))
    assert path.name.startswith("gpu-") and path.suffix == ".md"
    written = path.read_text()
    assert "- GPU: a card" in written and "(a draft)" in written
    for where in (text, written):
        assert "| bare loop | 1.235 |" in where
        assert "| two | no GPU |" in where
        assert "| three | not told |" in where
        assert "| copy | 5.00 | GB/s |" in where
        assert "| the server's part of a batch | at most 100 us | not measured | not known |" in where


@pytest.mark.parametrize("output", ["", "no JSON", '{"other": 1}', "[1]"])
def test_a_bench_that_said_nothing_has_no_results(output: str) -> None:
    assert results_in(output) == []


def test_results_are_in_the_last_line() -> None:
    assert results_in('loading\n{"results": [{"way": "one"}]}\n') == [{"way": "one"}]


def test_goals_are_held_against_what_was_seen() -> None:
    memory = """
| a card                                                         |            |       |
| staging of batches of 32 images of 600 KB                      |      50.00 | GB/s  |
|   of the bandwidth of one copy                                 |      93.50 | %     |
|   times faster than 64 copies                                  |       8.00 |       |
|   times faster than 64 copies                                  |       4.50 |       |
|   two under way, over the longer of copying and computing      |       5.50 | %     |
"""
    outcomes = {
        "memory": Outcome("passed", table=memory.strip().splitlines()),
        "serving": Outcome(
            "passed",
            rows=[
                {"way": "bare loop", "compute_ms": 3.0},
                {"way": "thread, 1 instance", "busy": 0.91, "overhead_us": 80.0},
                {"way": "thread, 2 instances", "busy": 0.97, "overhead_us": 120.0},
                {"way": "process, 1 instance", "busy": 0.99, "overhead_us": 10.0},
                {"way": "thread, 2 instances, CUDA graphs", "failed": "no"},
            ],
        ),
        "load and unload": Outcome(
            "passed",
            rows=[
                {"isolation": "thread", "cycles": 1000, "gpu_grown_mib": 2.0},
                {"isolation": "process", "cycles": 5, "gpu_grown_mib": 99.0},
            ],
        ),
    }
    rows = rows_of(outcomes)
    assert [(row["seen"], row["met"]) for row in rows] == [
        ("93.5 %", "yes"),
        ("5.5 %", "NO"),
        ("4.5", "NO"),
        ("97 %", "yes"),
        ("80 us", "yes"),
        ("2 MiB", "yes"),
    ]
    outcomes["load and unload"].rows[0]["cycles"] = 900
    assert rows_of(outcomes)[-1]["met"] == "not known"
    assert {row["met"] for row in rows_of({})} == {"not known"}
