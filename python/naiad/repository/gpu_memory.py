"""The memory of this machine's GPUs, as NVML tells it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import pynvml

from naiad.errors import InvalidArgument

_log = logging.getLogger("naiad.repository")


class GpuMemory(Protocol):
    """Of every GPU by its number. Any thread."""

    def used_bytes(self, device: int) -> int:
        """By all processes, but for what lies free in this one's pool."""
        ...

    def total_bytes(self, device: int) -> int: ...


class NvmlMemory:
    """``GpuMemory`` of NVML. ``pools`` is as ``Engine.gpu_usage``: found by UUIDs, since CUDA may number GPUs
    otherwise. Raises pynvml.NVMLError where there is none.
    """

    def __init__(self, pools: Callable[[], Iterable[Mapping[str, Any]]] = tuple) -> None:
        self._pools = pools
        pynvml.nvmlInit()
        self._devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def __len__(self) -> int:
        return len(self._devices)

    def used_bytes(self, device: int) -> int:
        """By all processes, but for what lies free in this one's pool."""
        used = int(pynvml.nvmlDeviceGetMemoryInfo(self._devices[device]).used)
        pools = list(self._pools())
        if not pools:
            return used
        uuid = pynvml.nvmlDeviceGetUUID(self._devices[device])
        return used - sum(int(pool["cached"]) for pool in pools if pool["uuid"] == uuid)

    def total_bytes(self, device: int) -> int:
        """Of the device."""
        return int(pynvml.nvmlDeviceGetMemoryInfo(self._devices[device]).total)


def gpu_memory(
    limits: Mapping[int, float], pools: Callable[[], Iterable[Mapping[str, Any]]] = tuple
) -> NvmlMemory | None:
    """None where there is no GPU; if there are limits, the log says then that they have nothing to act on.
    Raises InvalidArgument for a limit of a GPU that is not among those which are there.
    """
    try:
        memory: NvmlMemory | None = NvmlMemory(pools)
    except pynvml.NVMLError as error:
        memory, reason = None, str(error)
    else:
        reason = "NVML finds none"
    if not memory:
        if limits:
            _log.warning("--model-load-gpu-limit has no effect, there is no GPU here: %s", reason)
        return None
    require_gpus("--model-load-gpu-limit", limits, len(memory))
    return memory


def require_gpus(flag: str, devices: Iterable[int], count: int) -> None:
    """Raises InvalidArgument for one that a flag names and that is not among the ``count`` there are."""
    for device in devices:
        if not 0 <= device < count:
            raise InvalidArgument(f"{flag} names GPU {device}, and there are {count}, counted from 0")
