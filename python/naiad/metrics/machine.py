"""The metrics of the machine: tensor pool, CPU, memory, GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import psutil
import pynvml
from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.logs import log
from naiad.metrics.families import add, counter, gauge


class PoolCollector(Collector):
    """Pinned memory of the tensor pool."""

    def __init__(self, usage: Callable[[], Mapping[str, int]]) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        usage = self._usage()
        total = gauge("nv_pinned_memory_pool_total_bytes", "Pinned memory pool total memory size, in bytes")
        used = gauge("nv_pinned_memory_pool_used_bytes", "Pinned memory pool used memory size, in bytes")
        # The pool is one arena of which the first part is pinned and handed out first.
        add(total, {}, usage["pinned"])
        add(used, {}, min(usage["used"], usage["pinned"]))
        yield from (total, used)


class CpuCollector(Collector):
    """Utilization and memory of the host. A reading is used again until it is ``interval_s`` old."""

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._read_at = clock()
        # The first call only marks where the measured span begins.
        psutil.cpu_percent()
        self._utilization = 0.0

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        if self._clock() - self._read_at >= self._interval_s:
            self._utilization = psutil.cpu_percent() / 100
            self._read_at = self._clock()
        memory = psutil.virtual_memory()
        utilization = gauge("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]")
        total = gauge("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes")
        used = gauge("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes")
        add(utilization, {}, round(self._utilization, 4))
        add(total, {}, memory.total)
        add(used, {}, memory.total - memory.available)
        yield from (utilization, total, used)


class GpuCollector(Collector):
    """What NVML says of every GPU. A figure that a GPU does not have is left out."""

    def __init__(self) -> None:
        self._devices: list[tuple[dict[str, str], pynvml.c_nvmlDevice_t]] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            self._devices.append(({"gpu_uuid": str(pynvml.nvmlDeviceGetUUID(device))}, device))
        self._energy_at_start = [_read(_energy_joules, device) for _, device in self._devices]

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        families = (
            (gauge("nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)"), _utilization),
            (gauge("nv_gpu_memory_total_bytes", "GPU total memory, in bytes"), _memory_total),
            (gauge("nv_gpu_memory_used_bytes", "GPU used memory, in bytes"), _memory_used),
            (gauge("nv_gpu_power_usage", "GPU power usage in watts"), _power_watts),
            (gauge("nv_gpu_power_limit", "GPU power management limit in watts"), _power_limit_watts),
        )
        for family, reading in families:
            for labels, device in self._devices:
                value = _read(reading, device)
                if value is not None:
                    add(family, labels, value)
            yield family
        energy = counter(
            "nv_energy_consumption", "GPU energy consumption in joules since the Triton Server started"
        )
        for (labels, device), start in zip(self._devices, self._energy_at_start, strict=True):
            value = _read(_energy_joules, device)
            if value is not None and start is not None:
                add(energy, labels, value - start)
        yield energy

    def used_by_process(self) -> dict[str, dict[int, int]]:
        """Bytes of each GPU, by its UUID and the number of the process. Any thread."""
        return {labels["gpu_uuid"]: _used_by_process(device) for labels, device in self._devices}


def gpu_collector() -> GpuCollector | None:
    """A collector of the GPUs of this machine, None (with one line in the log) where there is none."""
    try:
        pynvml.nvmlInit()
        collector = GpuCollector()
    except pynvml.NVMLError as error:
        log.info("No GPU metrics: %s", error)
        return None
    if not collector._devices:
        log.info("No GPU metrics: NVML finds no GPU")
        return None
    return collector


_Reading = Callable[[pynvml.c_nvmlDevice_t], float]


def _read(reading: _Reading, device: pynvml.c_nvmlDevice_t) -> float | None:
    try:
        return reading(device)
    except pynvml.NVMLError:
        return None


def _used_by_process(device: pynvml.c_nvmlDevice_t) -> dict[int, int]:
    used: dict[int, int] = {}
    # The second are those that share the GPU through MPS.
    for ask in (pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetMPSComputeRunningProcesses):
        try:
            processes = ask(device)
        except pynvml.NVMLError:
            continue
        for process in processes:
            if process.usedGpuMemory is not None:
                used[int(process.pid)] = int(process.usedGpuMemory)
    return used


def _utilization(device: pynvml.c_nvmlDevice_t) -> float:
    return float(pynvml.nvmlDeviceGetUtilizationRates(device).gpu) / 100


def _memory_total(device: pynvml.c_nvmlDevice_t) -> float:
    return int(pynvml.nvmlDeviceGetMemoryInfo(device).total)


def _memory_used(device: pynvml.c_nvmlDevice_t) -> float:
    return int(pynvml.nvmlDeviceGetMemoryInfo(device).used)


def _power_watts(device: pynvml.c_nvmlDevice_t) -> float:
    return float(pynvml.nvmlDeviceGetPowerUsage(device)) / 1000


def _power_limit_watts(device: pynvml.c_nvmlDevice_t) -> float:
    return float(pynvml.nvmlDeviceGetPowerManagementLimit(device)) / 1000


def _energy_joules(device: pynvml.c_nvmlDevice_t) -> float:
    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(device)) / 1000
