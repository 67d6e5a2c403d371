"""What naiad asks of ``pynvml``, told of the GPUs of ``_fake_gpu``: of this process, as if it were alone."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import _fake_gpu

NVML_ERROR_NOT_SUPPORTED = 3


c_nvmlDevice_t = int


class NVMLError(Exception):
    """What is not known of a stand-in."""

    value = NVML_ERROR_NOT_SUPPORTED


NVMLError_NotSupported = NVMLError


def nvmlInit() -> None:
    pass


def nvmlShutdown() -> None:
    pass


def nvmlSystemGetDriverVersion() -> str:
    return "fake"


def nvmlSystemGetCudaDriverVersion() -> int:
    return 13000


def nvmlDeviceGetCount() -> int:
    return 2


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetUUID(device: int) -> str:
    return f"GPU-fake-{device}"


def nvmlDeviceGetName(device: int) -> str:
    return f"fake {device}"


def nvmlDeviceGetMemoryInfo(device: int) -> SimpleNamespace:
    state = _fake_gpu.state(device)
    return SimpleNamespace(
        total=state["total_bytes"],
        used=state["allocated_bytes"],
        free=state["total_bytes"] - state["allocated_bytes"],
    )


def nvmlDeviceGetComputeRunningProcesses(device: int) -> list[SimpleNamespace]:
    used = _fake_gpu.state(device)["allocated_bytes"]
    return [SimpleNamespace(pid=os.getpid(), usedGpuMemory=used)]


def nvmlDeviceGetMPSComputeRunningProcesses(device: int) -> list[SimpleNamespace]:
    del device
    return []


def __getattr__(name: str) -> Any:
    if not name.startswith("nvml"):
        raise AttributeError(name)

    def unknown(*_: Any) -> Any:
        raise NVMLError(f"{name}: Not Supported")

    return unknown
