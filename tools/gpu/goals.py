"""What a run of ``make gpu`` is to show, beside what it has shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from report import Outcome

Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Goal:
    """A figure and its bound."""

    text: str
    bound: float
    at_most: bool
    unit: str
    seen: Callable[[Outcomes], float | None]
    """None where the run has not measured it."""

    def row(self, outcomes: Outcomes) -> dict[str, str]:
        """Of the table of goals."""
        seen = self.seen(outcomes)
        wanted = f"{'at most' if self.at_most else 'at least'} {self.bound:g} {self.unit}".rstrip()
        if seen is None:
            return {"goal": self.text, "wanted": wanted, "seen": "not measured", "met": "not known"}
        is_met = seen <= self.bound if self.at_most else seen >= self.bound
        shown = f"{seen:.4g} {self.unit}".rstrip()
        return {"goal": self.text, "wanted": wanted, "seen": shown, "met": "yes" if is_met else "NO"}


def rows_of(outcomes: Outcomes) -> list[dict[str, str]]:
    """One for each goal."""
    return [goal.row(outcomes) for goal in GOALS]


def _memory(label: str) -> Callable[[Outcomes], float | None]:
    """The least figure of those that bench_gpu prints under a label."""

    def read(outcomes: Outcomes) -> float | None:
        found = []
        for line in outcomes["memory"].table if "memory" in outcomes else ():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[0] == label:
                found.append(float(cells[1]))
        return min(found, default=None)

    return read


def _served(figure: str, best: Callable[[list[float]], float]) -> Callable[[Outcomes], float | None]:
    """Of the ways to serve within the server's process, the best one."""

    def read(outcomes: Outcomes) -> float | None:
        rows = outcomes["serving"].rows if "serving" in outcomes else []
        found = [float(row[figure]) for row in rows if "thread" in str(row.get("way")) and figure in row]
        return best(found) if found else None

    return read


def _grown_mib(outcomes: Outcomes) -> float | None:
    rows = outcomes["load and unload"].rows if "load and unload" in outcomes else []
    for row in rows:
        if (
            row.get("isolation") == "thread"
            and row.get("gpu_grown_mib") is not None
            and row["cycles"] >= 1000
        ):
            return float(row["gpu_grown_mib"])
    return None


def _percent(figure: Callable[[Outcomes], float | None]) -> Callable[[Outcomes], float | None]:
    def read(outcomes: Outcomes) -> float | None:
        seen = figure(outcomes)
        return None if seen is None else 100 * seen

    return read


GOALS = (
    Goal(
        "staging of 600 KB images, of the bandwidth of one pinned copy",
        90,
        False,
        "%",
        _memory("of the bandwidth of one copy"),
    ),
    Goal(
        "two batches under way, over the longer of copying and computing",
        5,
        True,
        "%",
        _memory("two under way, over the longer of copying and computing"),
    ),
    Goal(
        "64 requests of 4 KB gathered, times faster than 64 copies",
        5,
        False,
        "",
        _memory("times faster than 64 copies"),
    ),
    Goal("the GPU is busy under load at batch 32", 95, False, "%", _percent(_served("busy", max))),
    Goal("the server's part of a batch", 100, True, "us", _served("overhead_us", min)),
    Goal("GPU memory left behind by 1,000 loads and unloads", 16, True, "MiB", _grown_mib),
)
"""The figures of the best way that was measured, where there are several."""
