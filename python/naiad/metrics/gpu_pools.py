"""What the core has of the GPUs' memory for batches, and which model has how much of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.handlers.control import ServedVersion
from naiad.metrics.families import add, gauge
from naiad.metrics.models import labels_of

PoolUsage = Callable[[], Iterable[Mapping[str, Any]]]
"""As ``Engine.gpu_usage``."""


class GpuPoolCollector(Collector):
    """Of every GPU that the core works with; nothing without one. Models that the core does not run on a GPU
    have no figure. The limit is that of models which have one.
    """

    def __init__(self, loaded: Callable[[], Iterable[ServedVersion]], usage: PoolUsage) -> None:
        self._loaded = loaded
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        pools = {pool["device"]: pool for pool in self._usage()}
        if not pools:
            return
        used = gauge("naiad_gpu_pool_used_bytes", "GPU memory that batches have of the core's pool")
        cached = gauge("naiad_gpu_pool_cached_bytes", "GPU memory that is free in the core's pool")
        for pool in pools.values():
            add(used, {"gpu_uuid": pool["uuid"]}, pool["used"])
            add(cached, {"gpu_uuid": pool["uuid"]}, pool["cached"])
        of_model = gauge(
            "naiad_model_gpu_pool_used_bytes", "What a model has of the core's pool of GPU memory"
        )
        peak = gauge("naiad_model_gpu_pool_peak_bytes", "The most that a model had of it")
        limit = gauge("naiad_model_gpu_pool_limit_bytes", "The most that a model may have of it")
        for version in sorted(self._loaded(), key=lambda version: (version.name, version.version)):
            for device, used_bytes, peak_bytes, limit_bytes in version.model.gpu_use():
                if device not in pools:
                    continue  # it was opened since
                labels = labels_of(version) | {"gpu_uuid": pools[device]["uuid"]}
                add(of_model, labels, used_bytes)
                add(peak, labels, peak_bytes)
                if limit_bytes:
                    add(limit, labels, limit_bytes)
        yield from (used, cached, of_model, peak, limit)
