"""GPUs whose memory can be looked at, or none."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from naiad.errors import InvalidArgument
from naiad.repository.gpu_memory import gpu_memory


def test_without_nvml_limits_have_no_effect_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", none)
    assert gpu_memory({}) is None
    assert not caplog.records
    assert gpu_memory({0: 0.5}) is None
    assert "--model-load-gpu-limit has no effect, there is no GPU here" in caplog.text


def test_what_nvml_says_is_read_and_a_gpu_that_is_not_there_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetMemoryInfo", lambda device: SimpleNamespace(used=10 + device, total=100)
    )
    memory = gpu_memory({1: 0.5})
    assert memory is not None
    assert (memory.used_bytes(1), memory.total_bytes(0)) == (11, 100)
    with pytest.raises(InvalidArgument, match="names GPU 2, and there are 2"):
        gpu_memory({2: 0.5})
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda device: f"GPU-{device}")
    memory = gpu_memory({}, lambda: [{"device": 0, "uuid": "GPU-1", "used": 3, "cached": 4}])
    assert memory is not None
    assert [memory.used_bytes(device) for device in (0, 1)] == [10, 7]
