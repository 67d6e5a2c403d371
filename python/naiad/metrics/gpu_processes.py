"""How much memory of the GPUs models have: NVML tells it by process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.handlers.control import ServedVersion
from naiad.metrics.families import add, gauge
from naiad.metrics.models import labels_of

UsedByProcess = Callable[[], Mapping[str, Mapping[int, int]]]
"""Bytes by the GPU's UUID and the number of the process."""

_FIRST_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel: that of a machine, outside of all containers."""


class GpuProcessCollector(Collector):
    """Of every version that is loaded and has worker processes, and of the server itself. A process that NVML
    does not know has no figure: it has not touched a GPU.
    """

    def __init__(self, loaded: Callable[[], Iterable[ServedVersion]], used: UsedByProcess) -> None:
        self._loaded = loaded
        self._used = used

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        used = self._used()
        models = gauge("naiad_model_gpu_memory_bytes", "GPU memory of the worker processes of a model")
        server = gauge(
            "naiad_server_gpu_memory_bytes", "GPU memory of the server's process, models within it included"
        )
        for version in sorted(self._loaded(), key=lambda version: (version.name, version.version)):
            workers = {pid for _, _, pid in version.model.instance_use() if pid}
            for uuid, processes in used.items():
                sizes = [size for pid, size in processes.items() if pid in workers]
                if sizes:
                    add(models, labels_of(version) | {"gpu_uuid": uuid}, sum(sizes))
        for uuid, processes in used.items():
            if os.getpid() in processes:
                add(server, {"gpu_uuid": uuid}, processes[os.getpid()])
        yield from (models, server)


def knows_process_numbers(namespace: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether the numbers that the driver has for processes are those of this process: in a container that
    has numbers of its own, one of them could be that of anybody.
    """
    try:
        return str(namespace.readlink()) == _FIRST_NAMESPACE
    except OSError:
        return False
