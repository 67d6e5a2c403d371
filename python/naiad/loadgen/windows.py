"""What was measured in one span of time, and whether several are alike."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_PER_E = 256
"""Buckets of latency for a factor of e: a percentile is known to 0.2%."""
PERCENTILES = (50, 90, 95, 99)
_TIMES = ("latency", "first", "between")


@dataclass
class Times:
    """How long something took, many times, to 0.2%."""

    buckets: Counter[int] = field(default_factory=Counter)
    """Bucket -> how many."""
    total_s: float = 0.0

    def add(self, time_s: float) -> None:
        """One."""
        self.buckets[int(math.log(max(time_s, 1e-9)) * _PER_E)] += 1
        self.total_s += time_s

    def update(self, other: Times) -> None:
        """All of another's."""
        self.buckets.update(other.buckets)
        self.total_s += other.total_s

    @property
    def count(self) -> int:
        """How many."""
        return self.buckets.total()

    @property
    def mean_s(self) -> float:
        """0 without any."""
        return self.total_s / self.count if self.buckets else 0.0

    def percentile_s(self, percent: float) -> float:
        """0 without any."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return math.exp((bucket + 0.5 if bucket >= 0 else bucket - 0.5) / _PER_E)
        return 0.0

    def tree(self) -> dict[str, Any]:
        """For JSON."""
        return {"buckets": list(self.buckets.items()), "total_s": self.total_s}

    @classmethod
    def of_tree(cls, tree: dict[str, Any]) -> Times:
        """What ``tree`` gave."""
        return cls(Counter(dict(tree["buckets"])), tree["total_s"])


@dataclass
class Window:
    """Counts of one window, of one process or of several together."""

    seconds: float = 0.0
    latency: Times = field(default_factory=Times)
    """Of requests that did not fail, until the whole answer was there."""
    first: Times = field(default_factory=Times)
    """Of streams: from a request to its first response."""
    between: Times = field(default_factory=Times)
    """Of streams: from one response to the next."""
    errors: Counter[str] = field(default_factory=Counter)
    """What failed, by its words."""
    late: int = 0
    """Open loop: requests that had to wait for one under way to end, as too many were."""
    client_cpu_s: float = 0.0

    @property
    def answers(self) -> int:
        """Those that did not fail."""
        return self.latency.count

    @property
    def responses(self) -> int:
        """Of streams."""
        return self.first.count + self.between.count

    @property
    def per_second(self) -> float:
        """Answers."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def mean_s(self) -> float:
        """Of the latency."""
        return self.latency.mean_s

    def percentile_s(self, percent: float) -> float:
        """Of the latency; 0 without answers."""
        return self.latency.percentile_s(percent)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "seconds": self.seconds,
                "errors": dict(self.errors),
                "late": self.late,
                "client_cpu_s": self.client_cpu_s,
            }
            | {name: getattr(self, name).tree() for name in _TIMES}
        )

    @classmethod
    def from_json(cls, text: str) -> Window:
        """What ``to_json`` wrote."""
        tree = json.loads(text)
        latency, first, between = (Times.of_tree(tree.pop(name)) for name in _TIMES)
        errors: Counter[str] = Counter(tree.pop("errors"))
        return cls(latency=latency, first=first, between=between, errors=errors, **tree)


def together(windows: Iterable[Window]) -> Window:
    """Of processes that ran at the same time."""
    whole = Window()
    for window in windows:
        _take(whole, window)
        whole.seconds = max(whole.seconds, window.seconds)
    return whole


def one_after_another(windows: Iterable[Window]) -> Window:
    """Of spans that followed each other."""
    whole = Window()
    for window in windows:
        _take(whole, window)
        whole.seconds += window.seconds
    return whole


def is_stable(windows: Sequence[Window], share: float) -> bool:
    """Whether throughput and mean latency of each window differ from their average by ``share`` at most."""
    for figures in ([one.per_second for one in windows], [one.mean_s for one in windows]):
        average = sum(figures) / len(figures)
        if any(abs(figure - average) > share * average for figure in figures):
            return False
    return all(window.answers for window in windows)


def _take(whole: Window, part: Window) -> None:
    for name in _TIMES:
        getattr(whole, name).update(getattr(part, name))
    whole.errors.update(part.errors)
    whole.late += part.late
    whole.client_cpu_s += part.client_cpu_s
