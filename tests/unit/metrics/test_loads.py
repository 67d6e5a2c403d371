"""Loads, evictions and what models take, as metrics."""

from __future__ import annotations

from dataclasses import dataclass

from naiad.metrics.families import exposition
from naiad.metrics.loads import LoadCollector, LoadReadings


@dataclass
class Known:
    name: str
    num_loads: int
    num_evictions: int
    size: int

    def size_bytes(self) -> int:
        return self.size


def test_models_are_counted_whether_they_are_there_or_not() -> None:
    models = [Known("a", 3, 2, 0), Known("b", 1, 0, 4096)]
    text = exposition(LoadCollector(LoadReadings(lambda: models, 8192, lambda: 7)).collect()).decode()
    for line in (
        'naiad_model_loads{model="a"} 3',
        'naiad_model_evictions{model="a"} 2',
        'naiad_model_load_bytes{model="a"} 0',
        'naiad_model_load_bytes{model="b"} 4096',
        "naiad_model_memory_limit_bytes 8192",
        "naiad_parked_requests 7",
    ):
        assert line in text.splitlines()


def test_without_a_limit_and_demand_nothing_is_said_of_them() -> None:
    text = exposition(LoadCollector(LoadReadings()).collect()).decode()
    assert "limit" not in text and "parked" not in text
