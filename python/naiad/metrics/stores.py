"""The metrics of a store of answers beyond this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.metrics.families import add, counter


class StoreCollector(Collector):
    """Counts of what went wrong with it; hits and misses are the models'."""

    def __init__(
        self,
        failures: Callable[[], int],
        counts: Callable[[], tuple[int, int]],
        spoiled: Callable[[], int],
    ) -> None:
        self._failures = failures
        self._counts = counts
        self._spoiled = spoiled

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        skipped, dropped = self._counts()
        for name, words, value in (
            ("failures", "Times that the store of answers failed", self._failures()),
            ("skipped_lookups", "Look-ups that were misses because the store failed or was busy", skipped),
            ("dropped_entries", "Answers that were not kept because the store failed or was busy", dropped),
            ("spoiled_entries", "Entries of the store that were no answers of their model", self._spoiled()),
        ):
            family = counter(f"naiad_response_store_{name}", words)
            add(family, {}, value)
            yield family
