"""The figures of the page's charts: cumulative counters and histograms, read when somebody looks.

The page asks every few seconds and draws the differences, so nothing is kept here between two readings.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psutil
from prometheus_client import Metric

from naiad.handlers.control import ServedVersion
from naiad.metrics.instances import own_memory_bytes
from naiad.metrics.machine import GpuCollector
from naiad.metrics.registry import Readings

Json = dict[str, Any]

_DISTRIBUTIONS = ("request", "queue", "compute", "first_response")
_STEPS = ("compute_input", "compute_infer", "compute_output")
_GPU = {
    "nv_gpu_utilization": "utilization",
    "nv_gpu_memory_total_bytes": "memory_total",
    "nv_gpu_memory_used_bytes": "memory_used",
    "nv_gpu_power_usage": "power_w",
}


class Figures:
    """``read`` takes some milliseconds, most of them NVML's: it belongs on a thread of its own."""

    def __init__(self, readings: Readings, gpus: GpuCollector | None) -> None:
        self._readings = readings
        self._gpus = gpus

    def read(self) -> Json:
        """One reading. Times are seconds, ``at_s`` on a clock that never goes back."""
        readings = self._readings
        connections = readings.connections()
        return {
            "at_s": round(time.monotonic(), 4),
            "models": [
                _model(served)
                for served in sorted(readings.loaded(), key=lambda each: (each.name, each.version))
            ],
            "machine": _machine(readings.pool()),
            "gpus": [] if self._gpus is None else _gpus(self._gpus.collect()),
            "cache": _cache(readings.cache()),
            "open_connections": connections["open_connections"],
            "in_flight": connections["in_flight"],
            "refused": _refused(readings.answered()),
        }


def _model(served: ServedVersion) -> Json:
    model = served.model
    counted = model.statistics()
    spread = model.distributions()
    use = model.instance_use()
    sizes = [size for _, _, pid in use if pid and (size := own_memory_bytes(pid)) is not None]
    return {
        "name": served.name,
        "version": str(served.version),
        "success": counted["success"][0],
        "failures": counted["failures"],
        "inferences": counted["inference_count"],
        "executions": counted["execution_count"],
        "pending": model.pending,
        "healthy": model.healthy,
        "queue_delay_us": model.queue_delay_us,
        "queue_s": counted["queue"][1] / 1e9,
        "compute_s": [
            counted[step][1] / 1e9 for step in ("compute_input", "compute_infer", "compute_output")
        ],
        "computed": counted["compute_infer"][0],
        "cache": [counted["cache_hit"][0], counted["cache_miss"][0]],
        "batches": [[size, infer[0]] for size, _, infer, _ in counted["batches"]],
        "instances": [[name, busy_ns / 1e9, pid] for name, busy_ns, pid in use],
        "memory": sum(sizes) if sizes else None,
    } | {
        # Count, sum, and the buckets that are not empty: their number and what is in them.
        key: [spread[key][0], spread[key][1], [list(bucket) for bucket in spread[key][2]]]
        for key in _DISTRIBUTIONS
    }


def _machine(pool: Mapping[str, int]) -> Json:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    memory = psutil.virtual_memory()
    return {
        "cpu_s": [round(sum(times) - idle, 2), round(sum(times), 2)],
        "processors": psutil.cpu_count() or 1,
        "memory_used": memory.total - memory.available,
        "memory_total": memory.total,
        "server_memory": own_memory_bytes(0),
        "pool_used": pool["used"],
        "pool_capacity": pool["capacity"],
    }


def _cache(usage: tuple[int, int, int, int] | None) -> Json | None:
    if usage is None:
        return None
    capacity, size, entries, evictions = usage
    return {"capacity": capacity, "size": size, "entries": entries, "evictions": evictions}


def _gpus(families: Iterable[Metric]) -> list[Json]:
    found: dict[str, Json] = {}
    for family in families:
        key = _GPU.get(family.name)
        for sample in family.samples if key else ():
            uuid = sample.labels["gpu_uuid"]
            found.setdefault(uuid, {"uuid": uuid})[str(key)] = sample.value
    return list(found.values())


def _refused(answered: Mapping[str, Sequence[tuple[str, int, int]]]) -> int:
    """Inference over HTTP and gRPC that was answered with an error."""
    errors = 0
    for protocol, rows in answered.items():
        for group, status, count in rows:
            if group in ("inference", "openai") and (status >= 400 if protocol == "http" else status != 0):
                errors += count
    return errors
