"""GPU metrics over a fake of NVML."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from naiad.metrics.families import exposition
from naiad.metrics.gpu_pools import GpuPoolCollector
from naiad.metrics.gpu_processes import GpuProcessCollector, knows_process_numbers
from naiad.metrics.machine import GpuCollector, gpu_collector


class FakeNvml:
    """Two GPUs; the second one reports no power."""

    def __init__(self) -> None:
        self.energy_mj = [5_000, 9_000]
        self.used: dict[int, dict[int, int | None]] = {0: {}, 1: {}}

    def no_power(self, device: int, value: int) -> int:
        if device == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    def processes(self, device: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.used[device].items()]

    def functions(self) -> dict[str, Any]:
        return {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetComputeRunningProcesses": self.processes,
            "nvmlDeviceGetMPSComputeRunningProcesses": lambda device: self.no_power(device, []),
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


def test_no_gpu_is_no_error_and_said(
    monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    with caplog.at_level("INFO", "naiad"):
        assert gpu_collector() is None
    assert [record.message for record in caplog.records] == ["No GPU metrics: NVML Shared Library Not Found"]


def test_a_driver_without_gpus(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
    assert gpu_collector() is None
    assert [len(family.samples) for family in GpuCollector().collect()] == [0] * 6


class Version(SimpleNamespace):
    """A ``ServedVersion`` whose instances have these processes."""

    def __init__(self, name: str, *pids: int) -> None:
        use = [(f"{name}_{index}", 0, pid) for index, pid in enumerate(pids)]
        super().__init__(
            name=name,
            version=1,
            namespace="",
            config=SimpleNamespace(metric_tags={}),
            model=SimpleNamespace(instance_use=lambda: use),
        )


def processes_of(collector: GpuProcessCollector) -> list[str]:
    lines = exposition(collector.collect()).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_memory_of_workers_goes_to_their_model(nvml: FakeNvml) -> None:
    nvml.used = {0: {11: 100, 12: 20, 99: 7, os.getpid(): 5}, 1: {12: 3, 13: None}}
    # Instances in the server's process have no worker (0); a model without one has no figure.
    served: list[Any] = [Version("b", 13), Version("a", 11, 12), Version("inside", 0)]
    assert processes_of(GpuProcessCollector(lambda: served, GpuCollector().used_by_process)) == [
        'naiad_model_gpu_memory_bytes{gpu_uuid="GPU-0",model="a",version="1"} 120',
        'naiad_model_gpu_memory_bytes{gpu_uuid="GPU-1",model="a",version="1"} 3',
        'naiad_server_gpu_memory_bytes{gpu_uuid="GPU-0"} 5',
    ]


def test_a_gpu_that_tells_nothing_of_processes(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> None:
    def refused(device: int) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", refused)
    served: list[Any] = [Version("a", 11)]
    assert processes_of(GpuProcessCollector(lambda: served, GpuCollector().used_by_process)) == []


@pytest.mark.parametrize(("target", "known"), [("pid:[4026531836]", True), ("pid:[4026532201]", False)])
def test_numbers_of_a_container_are_not_the_drivers(tmp_path: Path, target: str, known: bool) -> None:
    link = tmp_path / "pid"
    link.symlink_to(target)
    assert knows_process_numbers(link) is known
    assert not knows_process_numbers(tmp_path / "missing")


def test_the_pool_of_each_gpu_and_what_models_have_of_it() -> None:
    pools = [
        {"device": 0, "uuid": "GPU-a", "used": 100, "cached": 20, "kept": 64},
        {"device": 1, "uuid": "GPU-b", "used": 0, "cached": 7, "kept": 64},
    ]
    uses: dict[str, list[tuple[int, int, int, int]]] = {
        "bounded": [(0, 60, 80, 500), (1, 0, 9, 500)],
        "free": [(0, 40, 40, 0)],
        "elsewhere": [],
    }
    versions: list[Any] = [
        SimpleNamespace(
            name=name,
            version=1,
            namespace="",
            config=SimpleNamespace(metric_tags={}),
            model=SimpleNamespace(gpu_use=lambda use=use: use),
        )
        for name, use in uses.items()
    ]
    lines = exposition(GpuPoolCollector(lambda: versions, lambda: pools).collect()).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'naiad_gpu_pool_used_bytes{gpu_uuid="GPU-a"} 100',
        'naiad_gpu_pool_used_bytes{gpu_uuid="GPU-b"} 0',
        'naiad_gpu_pool_cached_bytes{gpu_uuid="GPU-a"} 20',
        'naiad_gpu_pool_cached_bytes{gpu_uuid="GPU-b"} 7',
        'naiad_model_gpu_pool_used_bytes{gpu_uuid="GPU-a",model="bounded",version="1"} 60',
        'naiad_model_gpu_pool_used_bytes{gpu_uuid="GPU-b",model="bounded",version="1"} 0',
        'naiad_model_gpu_pool_used_bytes{gpu_uuid="GPU-a",model="free",version="1"} 40',
        'naiad_model_gpu_pool_peak_bytes{gpu_uuid="GPU-a",model="bounded",version="1"} 80',
        'naiad_model_gpu_pool_peak_bytes{gpu_uuid="GPU-b",model="bounded",version="1"} 9',
        'naiad_model_gpu_pool_peak_bytes{gpu_uuid="GPU-a",model="free",version="1"} 40',
        'naiad_model_gpu_pool_limit_bytes{gpu_uuid="GPU-a",model="bounded",version="1"} 500',
        'naiad_model_gpu_pool_limit_bytes{gpu_uuid="GPU-b",model="bounded",version="1"} 500',
    ]
    assert not list(GpuPoolCollector(lambda: versions, list).collect())
