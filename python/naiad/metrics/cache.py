"""The metrics of the answers that are kept in memory, of all models together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.handlers.control import ServedVersion
from naiad.metrics.families import add, gauge

_LOOKED_UP = ("cache_hit", "cache_miss")


class CacheCollector(Collector):
    """By Triton's names. Look-ups are those of the models that are loaded."""

    def __init__(
        self,
        usage: Callable[[], tuple[int, int, int, int] | None],
        loaded: Callable[[], Iterable[ServedVersion]],
    ) -> None:
        """``usage``: capacity and size in bytes, entries, evictions; None: nothing is kept."""
        self._usage = usage
        self._loaded = loaded

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        usage = self._usage()
        if usage is None:
            return
        capacity, size, entries, evictions = usage
        counted = [version.model.statistics() for version in self._loaded()]
        hits = sum(each["cache_hit"][0] for each in counted)
        misses = sum(each["cache_miss"][0] for each in counted)
        inserting_ns = sum(each["cache_insertion"][1] for each in counted)
        # A miss lasts as long as its look-up and, later, the keeping of the answer.
        looking_ns = sum(each[key][1] for each in counted for key in _LOOKED_UP) - inserting_ns
        for name, words, value in (
            ("util", "Cache utilization [0.0 - 1.0]", size / capacity),
            ("num_entries", "Number of responses stored in response cache", entries),
            ("num_hits", "Number of cache hits in response cache", hits),
            ("num_misses", "Number of cache misses in response cache", misses),
            ("num_lookups", "Number of cache lookups in response cache", hits + misses),
            ("num_evictions", "Number of cache evictions in response cache", evictions),
            (
                "lookup_duration",
                "Total cache lookup duration (hit and miss), in microseconds",
                looking_ns // 1000,
            ),
            ("insertion_duration", "Total cache insertion duration, in microseconds", inserting_ns // 1000),
        ):
            family = gauge(f"nv_cache_{name}", words)
            add(family, {}, value)
            yield family
