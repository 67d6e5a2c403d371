"""The GPUs of this machine, their driver, and whether the core can use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pynvml

from naiad.doctor.finding import Finding
from naiad.doctor.limits import size

GROUP = "GPU"


@dataclass(frozen=True)
class Gpus:
    """A reading."""

    driver: str = ""
    cuda: str = ""
    """The newest CUDA that the driver runs."""
    devices: tuple[tuple[str, int], ...] = ()
    """Name and bytes of memory."""
    error: str = ""
    """Why the driver can not be asked."""
    device_files: bool = False
    """Whether the system has a GPU of NVIDIA, be its driver's library there or not."""


def read_gpus(device_file: Path = Path("/dev/nvidiactl")) -> Gpus:
    """Asks the driver."""
    there = device_file.exists() or Path("/proc/driver/nvidia").exists()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus(error=str(error), device_files=there)
    try:
        version = pynvml.nvmlSystemGetCudaDriverVersion()
        devices = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(device).total)
            devices.append((str(pynvml.nvmlDeviceGetName(device)), memory))
        return Gpus(
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            cuda=f"{version // 1000}.{version % 1000 // 10}",
            devices=tuple(devices),
            device_files=there,
        )
    except pynvml.NVMLError as error:
        return Gpus(error=str(error), device_files=there)
    finally:
        pynvml.nvmlShutdown()


def core_view() -> tuple[int, str]:
    """How many GPUs the core can use, and why none."""
    from naiad.engine import gpu_absence, gpu_count

    count = gpu_count()
    return count, "" if count else gpu_absence()


def check_gpus(gpus: Gpus, core: Callable[[], tuple[int, str]] = core_view) -> list[Finding]:
    """A machine without one serves on its processors."""
    if gpus.error or not gpus.devices:
        if gpus.device_files:
            mend = "install the driver's library (libnvidia-compute), or docker run --gpus all ..."
            what = f"a GPU is there, but its driver does not answer: {gpus.error}"
            return [Finding(GROUP, "driver", "problem", what, mend)]
        what = "none; models run on the processors"
        return [Finding(GROUP, "NVIDIA GPU", "absent", what, "docker run --gpus all ..., if there is one")]
    found = [Finding(GROUP, "driver", "ok", f"{gpus.driver}, CUDA up to {gpus.cuda}")]
    for index, (name, memory) in enumerate(gpus.devices):
        found.append(Finding(GROUP, f"gpu {index}", "ok", f"{name}, {size(memory)}"))
    count, reason = core()
    if count < len(gpus.devices):
        what = f"naiad's core can use {count} of {len(gpus.devices)} GPUs{f': {reason}' if reason else ''}"
        mend = "see CUDA_VISIBLE_DEVICES; build with -DNAIAD_CUDA=ON where the core has no CUDA"
        found.append(Finding(GROUP, "core", "warning", what, mend))
    return found
