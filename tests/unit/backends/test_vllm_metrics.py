"""vLLM's metrics, from its registry to the server's page."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from naiad.backends.python.metric_family import read_families
from naiad.backends.vllm.metrics import EngineMetrics


def lines() -> dict[str, float]:
    return {
        f"{name}{sorted(labels.items())}": value
        for family in read_families()
        for name, labels, value in family.samples
        if name.startswith("vllm:t_") or "time_per_output" in name
    }


def test_all_of_them_with_the_labels_of_the_model() -> None:
    registry = CollectorRegistry()
    labels = {"model_name": "/secret/place", "engine": "0"}
    tokens = Counter("vllm:t_tokens", "Tokens.", list(labels), registry=registry).labels(**labels)
    running = Gauge("vllm:t_running", "Requests.", list(labels), registry=registry).labels(**labels)
    Counter("other", "Of somebody else.", registry=registry).inc()
    seconds = Histogram(
        "vllm:inter_token_latency_seconds", "Seconds.", list(labels), buckets=(0.1, 1.0), registry=registry
    ).labels(**labels)
    metrics = EngineMetrics({"model": "m", "version": "1"}, registry.collect)
    tokens.inc(3)
    running.set(2)
    for value in (0.05, 0.5, 0.5, 7):
        seconds.observe(value)
    metrics.report()
    own = "('engine', '0'), ('model', 'm'), ('version', '1')"

    def bucket(le: str) -> str:
        where = f"('engine', '0'), ('le', '{le}'), ('model', 'm'), ('version', '1')"
        return f"vllm:time_per_output_token_seconds_bucket[{where}]"

    assert lines() == {
        f"vllm:t_tokens_total[{own}]": 3,
        f"vllm:t_running[{own}]": 2,
        bucket("0.1"): 1,
        bucket("1"): 3,
        bucket("+Inf"): 4,
        f"vllm:time_per_output_token_seconds_sum[{own}]": 8.05,
        f"vllm:time_per_output_token_seconds_count[{own}]": 4,
    }
    tokens.inc()
    running.set(0)
    metrics.report()
    assert lines()[f"vllm:t_tokens_total[{own}]"] == 4
    assert lines()[f"vllm:t_running[{own}]"] == 0
    assert [family.kind for family in read_families() if family.name == "vllm:t_tokens_total"] == ["counter"]
