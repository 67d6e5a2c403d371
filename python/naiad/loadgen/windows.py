"""What was measured in one span of time, and whether several are alike."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_PER_E = 256
"""Buckets of latency for a factor of e: a percentile is known to 0.2%."""
PERCENTILES = (50, 90, 95, 99)


@dataclass
class Window:
    """Counts of one window, of one process or of several together."""

    seconds: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)
    """Bucket -> answers."""
    total_latency_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    """What failed, by its words."""
    late: int = 0
    """Open loop: requests that had to wait for one under way to end, as too many were."""
    client_cpu_s: float = 0.0

    def add(self, latency_s: float) -> None:
        """One answer."""
        self.latencies[int(math.log(max(latency_s, 1e-9)) * _PER_E)] += 1
        self.total_latency_s += latency_s

    @property
    def answers(self) -> int:
        """Those that did not fail."""
        return self.latencies.total()

    @property
    def per_second(self) -> float:
        """Answers."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def mean_s(self) -> float:
        """Of the latency."""
        return self.total_latency_s / self.answers if self.answers else 0.0

    def percentile_s(self, percent: float) -> float:
        """Of the latency; 0 without answers."""
        wanted = math.ceil(self.answers * percent / 100)
        seen = 0
        for bucket in sorted(self.latencies):
            seen += self.latencies[bucket]
            if seen >= wanted:
                return math.exp((bucket + 0.5 if bucket >= 0 else bucket - 0.5) / _PER_E)
        return 0.0

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "seconds": self.seconds,
                "latencies": list(self.latencies.items()),
                "total_latency_s": self.total_latency_s,
                "errors": dict(self.errors),
                "late": self.late,
                "client_cpu_s": self.client_cpu_s,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Window:
        """What ``to_json`` wrote."""
        tree = json.loads(text)
        latencies: Counter[int] = Counter()
        for bucket, count in tree.pop("latencies"):
            latencies[bucket] = count
        return cls(latencies=latencies, errors=Counter(tree.pop("errors")), **tree)


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
    whole.latencies.update(part.latencies)
    whole.total_latency_s += part.total_latency_s
    whole.errors.update(part.errors)
    whole.late += part.late
    whole.client_cpu_s += part.client_cpu_s
