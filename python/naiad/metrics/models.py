"""The metrics of the models: read from the core's counters at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

from naiad.handlers.control import ServedVersion
from naiad.metrics.families import add, counter, gauge

REASONS = ("OTHER", "BACKEND", "CANCELED", "REJECTED")

# Name, words, the statistic whose duration it is.
_DURATIONS = (
    (
        "nv_inference_request_duration_us",
        "Cumulative inference request duration in microseconds (includes cached requests)",
        "success",
    ),
    (
        "nv_inference_queue_duration_us",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        "queue",
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        "compute_input",
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        "compute_infer",
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
        "compute_output",
    ),
)


# Name, words, the statistic, and whether it is its count (0) or its duration (1).
_CACHE_COUNTERS = (
    ("nv_cache_num_hits_per_model", "Number of cache hits per model", "cache_hit", 0),
    ("nv_cache_num_misses_per_model", "Number of cache misses per model", "cache_miss", 0),
    (
        "nv_cache_hit_duration_per_model",
        "Total cache hit duration per model, in microseconds",
        "cache_hit",
        1,
    ),
    (
        "nv_cache_miss_duration_per_model",
        "Total cache miss (insert+lookup) duration per model, in microseconds",
        "cache_miss",
        1,
    ),
)


class ModelCollector(Collector):
    """Counters of every version that is loaded, with its metric tags as further labels."""

    def __init__(self, loaded: Callable[[], Iterable[ServedVersion]], *, latencies: bool = True) -> None:
        self._loaded = loaded
        self._latencies = latencies

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        served = sorted(
            self._loaded(), key=lambda version: (version.name, version.namespace, version.version)
        )
        read = [(labels_of(version), version, version.model.statistics()) for version in served]

        success = counter(
            "nv_inference_request_success", "Number of successful inference requests, all batch sizes"
        )
        failure = counter(
            "nv_inference_request_failure", "Number of failed inference requests, all batch sizes"
        )
        count = counter(
            "nv_inference_count", "Number of inferences performed (does not include cached requests)"
        )
        execs = counter(
            "nv_inference_exec_count",
            "Number of model executions performed (does not include cached requests)",
        )
        pending = gauge(
            "nv_inference_pending_request_count",
            "Instantaneous number of pending requests awaiting execution per-model.",
        )
        delay = gauge(
            "naiad_queue_delay_microseconds",
            "What a batch may wait for company now, of models whose queue delay is found by itself",
        )
        cached = [
            (counter(name, words), statistic, place) for name, words, statistic, place in _CACHE_COUNTERS
        ]
        load = gauge("nv_model_load_duration_secs", "Model load time in seconds")
        for labels, version, counted in read:
            add(success, labels, counted["success"][0])
            for reason in REASONS:
                add(failure, labels | {"reason": reason}, counted["failures"].get(reason, 0))
            add(count, labels, counted["inference_count"])
            add(execs, labels, counted["execution_count"])
            add(pending, labels, version.model.pending)
            if version.model.queue_delay_us is not None:
                add(delay, labels, version.model.queue_delay_us)
            for family, statistic, place in cached if version.config.proto.response_cache.enable else ():
                add(family, labels, counted[statistic][place] // (1000 if place else 1))
            add(load, labels, version.load_duration_s)
        yield from (success, failure, count, execs)
        if self._latencies:
            yield from _durations([(labels, counted) for labels, _, counted in read])
        yield from (family for family, _, _ in cached)
        yield from (pending, load, delay)


def _durations(read: list[tuple[dict[str, str], dict[str, Any]]]) -> Iterator[Metric]:
    for name, words, statistic in _DURATIONS:
        family = counter(name, words)
        for labels, counted in read:
            add(family, labels, counted[statistic][1] // 1000)
        yield family


def labels_of(served: ServedVersion) -> dict[str, str]:
    """Name, version, its repository with namespacing, and the tags of its configuration."""
    # What the server says of the model stands above what its configuration claims in a tag.
    own = {"model": served.name, "version": str(served.version)}
    if served.namespace:
        own["namespace"] = served.namespace
    return dict(served.config.metric_tags) | own
