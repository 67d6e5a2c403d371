"""GPU metrics over a fake of NVML."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from naiad.metrics.families import exposition
from naiad.metrics.machine import GpuCollector, gpu_collector


class FakeNvml:
    """Two GPUs; the second one reports no power."""

    def __init__(self) -> None:
        self.energy_mj = [5_000, 9_000]

    def no_power(self, device: int, value: int) -> int:
        if device == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    def functions(self) -> dict[str, Any]:
        return {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": lambda device: f"GPU-{device}",
            "nvmlDeviceGetUtilizationRates": lambda device: SimpleNamespace(gpu=25 * (device + 1)),
            "nvmlDeviceGetMemoryInfo": lambda device: SimpleNamespace(total=1000 + device, used=10 + device),
            "nvmlDeviceGetPowerUsage": lambda device: self.no_power(device, 123_400),
            "nvmlDeviceGetPowerManagementLimit": lambda device: self.no_power(device, 700_000),
            "nvmlDeviceGetTotalEnergyConsumption": lambda device: self.no_power(
                device, self.energy_mj[device]
            ),
        }


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    for name, function in fake.functions().items():
        monkeypatch.setattr(pynvml, name, function)
    return fake


def test_every_figure_of_every_gpu(nvml: FakeNvml) -> None:
    collector = gpu_collector()
    assert collector is not None
    nvml.energy_mj[0] += 2_500
    lines = exposition(collector.collect()).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'nv_gpu_utilization{gpu_uuid="GPU-0"} 0.25',
        'nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5',
        'nv_gpu_memory_total_bytes{gpu_uuid="GPU-0"} 1000',
        'nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 1001',
        'nv_gpu_memory_used_bytes{gpu_uuid="GPU-0"} 10',
        'nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 11',
        'nv_gpu_power_usage{gpu_uuid="GPU-0"} 123.4',
        'nv_gpu_power_limit{gpu_uuid="GPU-0"} 700.0',
        'nv_energy_consumption{gpu_uuid="GPU-0"} 2.5',
    ]
    assert "# TYPE nv_energy_consumption counter" in lines


def test_no_gpu_is_no_error(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert gpu_collector() is None


def test_a_driver_without_gpus(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
    assert gpu_collector() is None
    assert [len(family.samples) for family in GpuCollector().collect()] == [0] * 6
