"""Servers under the same load, in turns: what the machine does meanwhile falls on all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from naiad.loadgen.measure import Effort, Level, measure
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import Target
from naiad.loadgen.windows import Window, one_after_another

Side = tuple[Scenario, Target]
"""A server, and its load."""
Tell = Callable[[int, Window], None]
"""Called with a side's number and its newest window."""


@dataclass(frozen=True)
class Ratio:
    """One server's figure over another's: of each turn, so that a slow minute counts for neither."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, ones: Sequence[float], others: Sequence[float]) -> Ratio | None:
        """Figures of the same turns. None where one of them is 0."""
        if not all(ones) or not all(others):
            return None
        found = [one / other for one, other in zip(ones, others, strict=True)]
        return cls(statistics.median(found), min(found), max(found))


def measure_in_turns(
    sides: Sequence[Side], turns: int, effort: Effort, tell: Tell = lambda side, window: None
) -> list[list[Level]]:
    """Side -> its level of each turn. Every other turn goes backwards, so that none is always first. Blocks.
    Raises Unavailable.
    """
    found: list[list[Level]] = [[] for _ in sides]
    for turn in range(turns):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            scenario, target = sides[side]
            found[side].append(measure(scenario, target, effort, partial(tell, side)))
    return found


def together(levels: Sequence[Level]) -> Level:
    """One level of several turns."""
    first, *others = levels
    server = first.server
    for level in others:
        server = server.plus(level.server)
    return Level(
        first.concurrency,
        first.rate,
        one_after_another([level.window for level in levels]),
        server,
        all(level.stable for level in levels),
        sum(level.windows for level in levels),
    )


def ratios(ones: Sequence[Level], others: Sequence[Level]) -> dict[str, Ratio | None]:
    """Of throughput, median and p99: the first server's over the second's."""

    def of(figure: Callable[[Window], float]) -> Ratio | None:
        return Ratio.of([figure(one.window) for one in ones], [figure(other.window) for other in others])

    return {
        "requests_per_second": of(lambda window: window.per_second),
        "latency_p50_us": of(lambda window: window.percentile_s(50)),
        "latency_p99_us": of(lambda window: window.percentile_s(99)),
    }
