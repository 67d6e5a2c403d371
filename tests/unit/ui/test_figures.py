"""The figures of the dashboard, over fakes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from prometheus_client import Metric

from naiad.metrics.families import add, gauge
from naiad.metrics.registry import Readings
from naiad.ui.figures import Figures

COUNTED = {
    "inference_count": 6,
    "execution_count": 2,
    "success": (4, 400),
    "queue": (4, 2_000_000_000),
    "compute_input": (4, 1_000_000_000),
    "compute_infer": (4, 3_000_000_000),
    "compute_output": (4, 500_000_000),
    "cache_hit": (2, 44),
    "cache_miss": (5, 45),
    "failures": {"BACKEND": 1, "OTHER": 0},
    "batches": [(1, (1, 1), (1, 2), (1, 3)), (4, (1, 40), (3, 40), (1, 40))],
}
SPREAD = {
    **dict.fromkeys(("request", "queue", "compute", "first_response"), (4, 0.5, [(17, 3), (20, 1)])),
    "batch_rows": (4, 13.0, [(160, 4)]),
}


class FakeModel:
    pending = 3
    healthy = True
    queue_delay_us = None

    def statistics(self) -> dict[str, Any]:
        return COUNTED

    def distributions(self) -> dict[str, Any]:
        return SPREAD

    def instance_use(self) -> list[tuple[str, int, int]]:
        # A worker that has ended meanwhile: no process has that number.
        return [("m_0", 1_500_000_000, 0), ("m_1", 0, 2**22 + 1)]


class FakeGpus:
    """Two GPUs, of which the second tells its memory alone."""

    def collect(self) -> Iterator[Metric]:
        for name, values in (("nv_gpu_utilization", (0.25,)), ("nv_gpu_memory_used_bytes", (10, 20))):
            family = gauge(name, "words")
            for index, value in enumerate(values):
                add(family, {"gpu_uuid": f"GPU-{index}"}, value)
            yield family
        yield gauge("nv_energy_consumption", "what the page does not show")


def read(**more: Any) -> dict[str, Any]:
    gpus = more.pop("gpus", None)
    sources: dict[str, Any] = {
        "loaded": lambda: [SimpleNamespace(name="m", version=2, model=FakeModel())],
        "families": tuple,
        "pool": lambda: {"used": 5, "capacity": 50},
        "cache": lambda: None,
        "connections": lambda: {"open_connections": 7, "in_flight": 2},
        "answered": dict,
    }
    return Figures(Readings(**(sources | more)), gpus).read()


def test_counters_of_a_model() -> None:
    (model,) = read()["models"]
    assert (model["name"], model["version"], model["success"], model["pending"]) == ("m", "2", 4, 3)
    assert (model["queue_s"], model["compute_s"], model["computed"]) == (2.0, [1.0, 3.0, 0.5], 4)
    assert model["batches"] == [[1, 1], [4, 3]]
    assert model["cache"] == [2, 5]
    assert model["request"] == [4, 0.5, [[17, 3], [20, 1]]]
    assert [name for name, _, _ in model["instances"]] == ["m_0", "m_1"]
    assert model["memory"] is None


def test_the_machine_and_what_is_under_way() -> None:
    figures = read(cache=lambda: (100, 40, 3, 1))
    assert figures["cache"] == {"capacity": 100, "size": 40, "entries": 3, "evictions": 1}
    assert (figures["open_connections"], figures["in_flight"], figures["gpus"]) == (7, 2, [])
    assert figures["machine"]["pool_capacity"] == 50
    assert read()["cache"] is None


def test_gpus_have_the_figures_that_they_tell() -> None:
    assert read(gpus=FakeGpus())["gpus"] == [
        {"uuid": "GPU-0", "utilization": 0.25, "memory_used": 10},
        {"uuid": "GPU-1", "memory_used": 20},
    ]


def test_time_goes_on() -> None:
    assert read()["at_s"] <= read()["at_s"]
