"""The metrics of loads: how often models came and had to go, and what they take of main memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.metrics.families import add, counter, gauge


class KnownModel(Protocol):
    """A model that was loaded once, by its name."""

    @property
    def name(self) -> str: ...
    @property
    def num_loads(self) -> int: ...
    @property
    def num_evictions(self) -> int: ...
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LoadReadings:
    """Where the figures come from."""

    models: Callable[[], Iterable[KnownModel]] = tuple
    memory_limit_bytes: int = 0
    """0: there is none."""
    parked: Callable[[], int] | None = None
    """Requests that wait for models; None where models are not loaded on demand."""


class LoadCollector(Collector):
    """Of every model that was loaded once."""

    def __init__(self, readings: LoadReadings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        loads = counter("naiad_model_loads", "How often a model was loaded, or loaded anew")
        evictions = counter("naiad_model_evictions", "How often a model was unloaded to make room for others")
        taken = gauge("naiad_model_load_bytes", "Main memory that a model took when it was loaded")
        for model in self._readings.models():
            labels = {"model": model.name}
            add(loads, labels, model.num_loads)
            add(evictions, labels, model.num_evictions)
            add(taken, labels, model.size_bytes())
        yield from (loads, evictions, taken)
        if self._readings.memory_limit_bytes:
            limit = gauge("naiad_model_memory_limit_bytes", "Main memory for all models, headroom included")
            add(limit, {}, self._readings.memory_limit_bytes)
            yield limit
        if self._readings.parked is not None:
            parked = gauge("naiad_parked_requests", "Requests that wait for their models to be loaded")
            add(parked, {}, self._readings.parked())
            yield parked
