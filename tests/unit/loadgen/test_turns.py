"""Two servers under the same load, and the picture of what came out."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.cli.bench import ratios_table, results_table
from naiad.errors import InvalidArgument
from naiad.loadgen import turns
from naiad.loadgen.measure import Effort, Level
from naiad.loadgen.picture import check_picture, draw
from naiad.loadgen.report import row_of
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import ServerTime, Target, target_of
from naiad.loadgen.windows import Window


def level(answers: int, latency_s: float, stable: bool = True) -> Level:
    window = Window(seconds=1.0)
    for _ in range(answers):
        window.latency.add(latency_s)
    return Level(4, 0.0, window, ServerTime(requests=answers, executions=answers), stable, 3)


def test_servers_are_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measure(scenario: Scenario, target: Target, effort: Effort, tell: turns.Tell) -> Level:
        asked.append(target.port)
        tell(Window())  # type: ignore[call-arg, arg-type]
        return level(target.port, 0.1)

    monkeypatch.setattr(turns, "measure", measure)
    sides = [
        (Scenario("http", "h", port, (b"",)), target_of(f"h:{port}", "http", "m", "")) for port in (1, 2)
    ]
    told: list[int] = []
    found = turns.measure_in_turns(sides, 3, Effort(), lambda side, window: told.append(side))
    assert asked == [1, 2, 2, 1, 1, 2]
    assert told == [0, 1, 1, 0, 0, 1]
    assert [[one.window.answers for one in of_side] for of_side in found] == [[1] * 3, [2] * 3]


def test_turns_together() -> None:
    whole = turns.together([level(100, 0.1), level(300, 0.1, stable=False)])
    assert (whole.window.per_second, whole.server.requests, whole.windows) == (200, 400, 6)
    assert not whole.stable


def test_ratios_are_of_the_same_turn() -> None:
    ones = [level(100, 0.1), level(10, 1.0), level(60, 0.2)]
    others = [level(50, 0.2), level(5, 2.0), level(20, 0.2)]
    found = turns.ratios(ones, others)
    rates = found["requests_per_second"]
    assert rates is not None
    assert (rates.median, rates.least, rates.most) == pytest.approx((2, 2, 3))
    p99 = found["latency_p99_us"]
    assert p99 is not None and (p99.least, p99.most) == pytest.approx((0.5, 1), rel=0.01)
    assert turns.ratios([level(0, 0)], [level(1, 1)])["requests_per_second"] is None


def test_both_servers_stand_in_the_tables() -> None:
    rows = [row_of(url, level(100, 0.1), 1) for url in ("a:1", "b:2")]
    assert [column.header for column in results_table(rows).columns][0] == "Server"
    compared = [turns.ratios([level(100, 0.1)], [level(50, 0.1)])]
    table = ratios_table(["a:1", "b:2"], rows[::2], compared)
    assert [list(column.cells) for column in table.columns][:2] == [
        ["concurrency 4"],
        ["2.00 (2.00 to 2.00)"],
    ]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "load.svg"
    check_picture(path)
    draw(path, "m", {"a:1": [row_of("a:1", level(n, 0.1 * n), 1) for n in (1, 2)], "b:2": []})
    assert "<svg" in path.read_text() and "a:1 p99" in path.read_text()
    with pytest.raises(InvalidArgument, match=r"load\.txt"):
        check_picture(tmp_path / "load.txt")
