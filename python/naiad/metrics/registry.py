"""All metrics of a server, and where they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from naiad.handlers.control import ServedVersion
from naiad.metrics.cache import CacheCollector
from naiad.metrics.connections import AnswerCollector, ConnectionCollector
from naiad.metrics.custom import CustomCollector, Reading
from naiad.metrics.distributions import DistributionCollector
from naiad.metrics.gpu_pools import GpuPoolCollector, PoolUsage
from naiad.metrics.gpu_processes import GpuProcessCollector, knows_process_numbers
from naiad.metrics.instances import InstanceCollector
from naiad.metrics.loads import LoadCollector, LoadReadings
from naiad.metrics.machine import CpuCollector, GpuCollector, PoolCollector
from naiad.metrics.models import ModelCollector
from naiad.metrics.stores import StoreCollector
from naiad.settings import MetricsSettings


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the figures come from; each is called at every scrape, on a thread of its own."""

    loaded: Callable[[], Iterable[ServedVersion]]
    """The model versions that are served."""
    families: Callable[[], Iterable[Reading]]
    """What models make themselves."""
    pool: Callable[[], Mapping[str, int]]
    cache: Callable[[], tuple[int, int, int, int] | None]
    connections: Callable[[], Mapping[str, int]]
    answered: Callable[[], Mapping[str, Sequence[tuple[str, int, int]]]]
    gpu_pools: PoolUsage = tuple
    loads: LoadReadings = LoadReadings()
    store: StoreCollector | None = None
    """Of answers beyond this process."""


def server_registry(
    readings: Readings, settings: MetricsSettings, gpus: GpuCollector | None = None
) -> CollectorRegistry:
    """The registry that the metrics port shows."""
    # auto_describe off: registering must not take a reading.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ModelCollector(readings.loaded, latencies=settings.counter_latencies))
    registry.register(DistributionCollector(readings.loaded, settings))
    registry.register(InstanceCollector(readings.loaded))
    registry.register(LoadCollector(readings.loads))
    registry.register(CacheCollector(readings.cache, readings.loaded))
    registry.register(CustomCollector(readings.families))
    registry.register(PoolCollector(readings.pool))
    registry.register(GpuPoolCollector(readings.loaded, readings.gpu_pools))
    registry.register(ConnectionCollector(readings.connections))
    registry.register(AnswerCollector(readings.answered))
    if readings.store is not None:
        registry.register(readings.store)
    if gpus is not None:
        registry.register(gpus)
        if knows_process_numbers():
            registry.register(GpuProcessCollector(readings.loaded, gpus.used_by_process))
    if settings.cpu:
        registry.register(CpuCollector(settings.interval_ms / 1000))
    return registry
