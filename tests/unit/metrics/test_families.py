"""The text that Prometheus reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from naiad import protos
from naiad.config import ModelConfig
from naiad.metrics.cache import CacheCollector
from naiad.metrics.connections import ConnectionCollector
from naiad.metrics.families import add, counter, exposition, gauge
from naiad.metrics.machine import CpuCollector, PoolCollector
from naiad.metrics.models import ModelCollector

COUNTED: dict[str, Any] = {
    "inference_count": 9,
    "execution_count": 4,
    "success": (5, 5_999_999),
    "queue": (5, 1_000),
    "compute_input": (5, 2_000),
    "compute_infer": (5, 3_000),
    "compute_output": (5, 999),
    "cache_hit": (3, 4_000),
    "cache_miss": (6, 5_000),
    "cache_insertion": (6, 3_000),
    "failures": {"BACKEND": 2},
}


class FakeModel:
    pending = 7
    queue_delay_us = 12.5

    def statistics(self) -> dict[str, Any]:
        return COUNTED


def tagged(**tags: str) -> ModelConfig:
    message = protos.ModelConfig(name="m")
    message.metric_tags.update(tags)
    return ModelConfig.of(message)


def caching() -> ModelConfig:
    message = protos.ModelConfig(name="m")
    message.response_cache.enable = True
    return ModelConfig.of(message)


@dataclass
class Served:
    name: str = "m"
    version: int = 1
    config: ModelConfig = field(default_factory=tagged)
    versions: list[int] = field(default_factory=list)
    model: Any = field(default_factory=FakeModel)
    load_duration_s: float = 0.25
    namespace: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}::{self.name}" if self.namespace else self.name


def test_names_are_written_as_they_are_and_labels_escaped() -> None:
    family = counter("nv_x", "A back\\slash\nand a line")
    add(family, {"b": 'quote " back \\ line \n', "a": "1"}, 3)
    level = gauge("nv_y", "Level")
    add(level, {}, 0.5)
    assert exposition([family, level]).decode() == (
        "# HELP nv_x A back\\\\slash\\nand a line\n"
        "# TYPE nv_x counter\n"
        'nv_x{a="1",b="quote \\" back \\\\ line \\n"} 3\n'
        "# HELP nv_y Level\n"
        "# TYPE nv_y gauge\n"
        "nv_y 0.5\n"
    )


def test_the_models() -> None:
    text = exposition(ModelCollector(lambda: [Served(config=caching())]).collect()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        'nv_inference_request_success{model="m",version="1"} 5',
        'nv_inference_request_failure{model="m",reason="OTHER",version="1"} 0',
        'nv_inference_request_failure{model="m",reason="BACKEND",version="1"} 2',
        'nv_inference_request_failure{model="m",reason="CANCELED",version="1"} 0',
        'nv_inference_request_failure{model="m",reason="REJECTED",version="1"} 0',
        'nv_inference_count{model="m",version="1"} 9',
        'nv_inference_exec_count{model="m",version="1"} 4',
        'nv_inference_request_duration_us{model="m",version="1"} 5999',
        'nv_inference_queue_duration_us{model="m",version="1"} 1',
        'nv_inference_compute_input_duration_us{model="m",version="1"} 2',
        'nv_inference_compute_infer_duration_us{model="m",version="1"} 3',
        'nv_inference_compute_output_duration_us{model="m",version="1"} 0',
        'nv_cache_num_hits_per_model{model="m",version="1"} 3',
        'nv_cache_num_misses_per_model{model="m",version="1"} 6',
        'nv_cache_hit_duration_per_model{model="m",version="1"} 4',
        'nv_cache_miss_duration_per_model{model="m",version="1"} 5',
        'nv_inference_pending_request_count{model="m",version="1"} 7',
        'nv_model_load_duration_secs{model="m",version="1"} 0.25',
        'naiad_queue_delay_microseconds{model="m",version="1"} 12.5',
    ]
    assert len(list(text_string_to_metric_families(text))) == 16


def test_only_models_that_keep_answers_have_those_figures() -> None:
    text = exposition(ModelCollector(lambda: [Served()]).collect()).decode()
    assert "nv_inference_count{" in text
    assert "nv_cache_num_hits_per_model{" not in text


def test_the_cache() -> None:
    collector = CacheCollector(lambda: (1000, 250, 3, 7), lambda: [Served(), Served()])
    lines = exposition(collector.collect()).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "nv_cache_util 0.25",
        "nv_cache_num_entries 3",
        "nv_cache_num_hits 6",
        "nv_cache_num_misses 12",
        "nv_cache_num_lookups 18",
        "nv_cache_num_evictions 7",
        "nv_cache_lookup_duration 12",
        "nv_cache_insertion_duration 6",
    ]
    assert list(CacheCollector(lambda: None, list).collect()) == []


def test_latencies_can_be_left_out() -> None:
    text = exposition(ModelCollector(lambda: [Served()], latencies=False).collect()).decode()
    assert "duration_us" not in text and "nv_inference_count" in text


def test_tags_are_labels_but_do_not_hide_the_model() -> None:
    served = Served(config=tagged(team="t", model="other"))
    text = exposition(ModelCollector(lambda: [served]).collect()).decode()
    assert 'nv_inference_count{model="m",team="t",version="1"} 9' in text


def test_the_pool() -> None:
    text = exposition(PoolCollector(lambda: {"pinned": 100, "used": 30}).collect()).decode()
    assert "nv_pinned_memory_pool_total_bytes 100\n" in text
    assert "nv_pinned_memory_pool_used_bytes 30\n" in text


def test_the_connections() -> None:
    usage = {
        "open_connections": 3,
        "in_flight": 2,
        "in_flight_bytes": 4096,
        "accepted_connections": 9,
        "refused_connections": 1,
        "failed_handshakes": 4,
    }
    text = exposition(ConnectionCollector(lambda: usage).collect()).decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "naiad_open_connections 3",
        "naiad_in_flight_requests 2",
        "naiad_in_flight_bytes 4096",
        "naiad_accepted_connections 9",
        "naiad_refused_connections 1",
        "naiad_failed_handshakes 4",
    ]
    assert "# TYPE naiad_open_connections gauge" in text
    assert "# TYPE naiad_accepted_connections counter" in text


def test_the_cpu_is_read_again_only_when_the_reading_is_old() -> None:
    now = [0.0]
    collector = CpuCollector(2.0, lambda: now[0])

    def utilization() -> float:
        return float(next(iter(collector.collect())).samples[0].value)

    assert utilization() == 0.0
    now[0] = 1.9
    assert utilization() == 0.0
    now[0] = 2.0
    assert 0.0 <= utilization() <= 1.0
    assert collector._read_at == 2.0
