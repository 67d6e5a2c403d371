"""The metrics of model instances, and of the processes that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import psutil
from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.handlers.control import ServedVersion
from naiad.metrics.families import add, counter, gauge
from naiad.metrics.models import labels_of


class InstanceCollector(Collector):
    """Of every version that is loaded. Models within the server's own process share its memory, and none of
    it can be said to be that of one."""

    def __init__(
        self,
        loaded: Callable[[], Iterable[ServedVersion]],
        memory_bytes: Callable[[int], int | None] | None = None,
    ) -> None:
        """``memory_bytes``: of a process; None: it has ended."""
        self._loaded = loaded
        self._memory_bytes = memory_bytes or own_memory_bytes

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        busy = counter("naiad_instance_busy_seconds", "How long an instance has run batches")
        memory = gauge(
            "naiad_model_memory_bytes",
            "Memory of the worker processes of a model, without what they share with the server",
        )
        process = gauge("naiad_server_memory_bytes", "Memory of the server's process, without what it shares")
        for version in sorted(self._loaded(), key=lambda version: (version.name, version.version)):
            labels = labels_of(version)
            use = version.model.instance_use()
            for instance, busy_ns, _ in use:
                add(busy, labels | {"model_instance": instance}, busy_ns / 1e9)
            sizes = [self._memory_bytes(pid) for _, _, pid in use if pid]
            if sizes:
                add(memory, labels, sum(size for size in sizes if size is not None))
        add(process, {}, own_memory_bytes(0) or 0)
        yield from (busy, memory, process)


def own_memory_bytes(pid: int) -> int | None:
    """What a process (0: this one) holds in memory and does not share; None when it has ended."""
    try:
        memory = psutil.Process(pid or None).memory_info()
    except psutil.NoSuchProcess:
        return None
    return int(memory.rss - memory.shared)
