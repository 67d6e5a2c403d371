"""How much load one candidate is tried with: more and more, until more is not served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from naiad.tuning.outcome import Limits, Load

_GAIN = 1.05
_FLAT = 2
"""So many levels one after another without a gain, or beyond the limit, are the end of it: requests that
wait for others to join them may wait less when there are more."""


@dataclass(frozen=True)
class Ladder:
    """Levels of concurrency, each twice the one before."""

    least: int = 1
    most: int = 64

    def climb(self, limits: Limits, measure: Callable[[int], Load]) -> tuple[Load, ...]:
        """What each level served. Ends where requests fail, or twice nothing is gained within the limits."""
        loads: list[Load] = []
        best, flat = 0.0, 0
        concurrency = self.least
        while concurrency <= self.most and flat < _FLAT:
            load = measure(concurrency)
            loads.append(load)
            if load.errors:
                break
            within = limits.keeps(load)
            flat = 0 if within and load.per_second > best * _GAIN else flat + 1
            if within:
                best = max(best, load.per_second)
            concurrency *= 2
        return tuple(loads)
