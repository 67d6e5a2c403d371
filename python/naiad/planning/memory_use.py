"""How much memory processes take."""

from __future__ import annotations

import contextlib

import psutil
import pynvml

from naiad.repository.gpu_memory import NvmlMemory

LEAST_GPU_BYTES = 8 << 20
"""Less is not a model, but what others do meanwhile."""


def gpu_used_bytes() -> int:
    """Of all GPUs together; 0 where there is none."""
    try:
        memory = NvmlMemory()
        return sum(memory.used_bytes(device) for device in range(len(memory)))
    except pynvml.NVMLError:
        return 0


def host_used_bytes(pid: int | None = None) -> int:
    """Of a process (this one) and its children: what no other process shares. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    total = int(process.memory_full_info().uss)
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            total += int(child.memory_full_info().uss)
    return total
