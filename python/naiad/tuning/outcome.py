"""What came of candidates, which of them nothing beats, and which is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from naiad.tuning.candidate import Candidate

ALIKE = 0.03
"""Throughputs that differ by less are told apart by nothing but noise."""


@dataclass(frozen=True)
class Load:
    """One level of concurrency. Latencies in milliseconds."""

    concurrency: int
    per_second: float
    p50_ms: float
    p99_ms: float
    mean_batch: float
    errors: int = 0


@dataclass(frozen=True)
class Limits:
    """What may not be passed. 0: no limit."""

    p99_ms: float = 0
    memory_bytes: float = 0

    def keeps(self, load: Load) -> bool:
        """Whether its p99 is within."""
        return not 0 < self.p99_ms < load.p99_ms

    def holds(self, memory_bytes: int) -> bool:
        """Whether there is so much memory."""
        return not 0 < self.memory_bytes < memory_bytes


@dataclass(frozen=True)
class Outcome:
    """Of one candidate."""

    candidate: Candidate
    loads: tuple[Load, ...] = ()
    memory_bytes: int = 0
    """That the model takes: on GPUs where it is on one, else of main memory."""
    failure: str = ""
    """Why it does not run."""

    def best(self, limits: Limits) -> Load | None:
        """The most that it serves within the limits."""
        if self.failure or not limits.holds(self.memory_bytes):
            return None
        within = [load for load in self.loads if not load.errors and limits.keeps(load)]
        return max(within, key=lambda load: load.per_second, default=None)

    def why_not(self, limits: Limits) -> str:
        """Why there is no ``best``."""
        if self.failure:
            return self.failure
        if not limits.holds(self.memory_bytes):
            return f"takes {self.memory_bytes / 1e9:.2f} GB"
        if self.loads and all(load.errors for load in self.loads):
            return "requests failed"
        return f"p99 {self.least_p99_ms:.1f} ms at best"

    @property
    def least_p99_ms(self) -> float:
        """Of the levels without failures; 0: there is none."""
        return min((load.p99_ms for load in self.loads if not load.errors), default=0.0)


def front(outcomes: Sequence[Outcome], limits: Limits) -> list[Outcome]:
    """Those that no other beats in throughput, p99 and memory at once; most throughput first."""
    points = {
        outcome: (-best.per_second, best.p99_ms, outcome.memory_bytes)
        for outcome in outcomes
        if (best := outcome.best(limits)) is not None
    }

    def is_beaten(point: tuple[float, float, int]) -> bool:
        return any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )

    return sorted(
        (outcome for outcome, point in points.items() if not is_beaten(point)), key=lambda one: points[one]
    )


def chosen(outcomes: Sequence[Outcome], limits: Limits) -> Outcome | None:
    """Of those with the most throughput, as far as noise tells, the one with the fewest instances, the least
    p99 and memory.
    """
    served = {outcome: best for outcome in outcomes if (best := outcome.best(limits)) is not None}
    if not served:
        return None
    most = max(best.per_second for best in served.values())
    alike = [outcome for outcome, best in served.items() if best.per_second >= most * (1 - ALIKE)]
    return min(
        alike,
        key=lambda one: (
            one.candidate.instances,
            served[one].p99_ms,
            one.memory_bytes,
            one.candidate.max_batch_size,
        ),
    )


@dataclass(frozen=True)
class Tuned:
    """Of a search."""

    model: str
    outcomes: tuple[Outcome, ...]
    limits: Limits
    now: Candidate
    """How it runs as it is."""
    best: Outcome | None
    text: str
    """The best candidate's config.pbtxt."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "model": self.model,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "now": asdict(self.now),
            "chosen": None if self.best is None else asdict(self.best.candidate),
            "config": self.text or None,
        }
