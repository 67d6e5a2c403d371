"""The metrics that models make themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.registry import Collector


class Reading(Protocol):
    """A family, as who holds it gives it."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def samples(self) -> Sequence[tuple[str, dict[str, str], float]]: ...


class CustomCollector(Collector):
    """Reads the families when it is asked."""

    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """One reading. Families without a metric are left out."""
        for reading in self._read():
            family = Metric(reading.name, reading.description, reading.kind)
            for name, labels, value in reading.samples:
                family.add_sample(name, labels, value)
            if family.samples:
                yield family
