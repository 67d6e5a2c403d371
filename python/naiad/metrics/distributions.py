"""How the durations and batches of models are spread: histograms and summaries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from naiad.engine import histogram_bounds
from naiad.handlers.control import ServedVersion
from naiad.metrics.families import histogram, summary
from naiad.metrics.models import labels_of
from naiad.settings import MetricsSettings

_BOUNDS = histogram_bounds()

# Name, words, the distribution, and the exponents of 2 between which every doubling is shown.
_HISTOGRAMS = (
    ("naiad_request_duration_seconds", "From a request to its last response", "request", (-17, 6)),
    ("naiad_queue_duration_seconds", "What requests waited in the queue", "queue", (-17, 6)),
    ("naiad_compute_duration_seconds", "What the model took, for each request", "compute", (-17, 6)),
    ("naiad_first_response_seconds", "From a request to its first response", "first_response", (-17, 6)),
    ("naiad_batch_size", "Rows of the batches that ran", "batch_rows", (0, 10)),
)
_FIRST_RESPONSE = "nv_inference_first_response_histogram_ms"

# Triton's names, words, and the summary.
_SUMMARIES = (
    (
        "nv_inference_request_summary_us",
        "Summary of inference request duration in microseconds (includes cached requests)",
        "request",
    ),
    (
        "nv_inference_queue_summary_us",
        "Summary of inference queuing duration in microseconds (includes cached requests)",
        "queue",
    ),
    (
        "nv_inference_compute_input_summary_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        "compute_input",
    ),
    (
        "nv_inference_compute_infer_summary_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        "compute_infer",
    ),
    (
        "nv_inference_compute_output_summary_us",
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
        "compute_output",
    ),
    (
        "nv_cache_hit_summary_per_model",
        "Summary of cache hit counts/durations per model, in microseconds.",
        "cache_hit",
    ),
    (
        "nv_cache_miss_summary_per_model",
        "Summary of cache miss counts/durations per model, in microseconds.",
        "cache_miss",
    ),
)
_OF_THE_CACHE = ("cache_hit", "cache_miss")

Labels = dict[str, str]


class DistributionCollector(Collector):
    """Of every version that is loaded."""

    def __init__(self, loaded: Callable[[], Iterable[ServedVersion]], settings: MetricsSettings) -> None:
        self._loaded = loaded
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """One reading."""
        served = sorted(self._loaded(), key=lambda version: (version.name, version.version))
        read = [(labels_of(version), version) for version in served]
        spread = [(labels, version.model.distributions()) for labels, version in read]
        for name, words, key, exponents in _HISTOGRAMS:
            family = histogram(name, words)
            for labels, distributions in spread:
                examples = distributions["exemplars"].get(key, ())
                _add_histogram(family, labels, distributions[key], exponents, examples)
            yield family
        if self._settings.histogram_latencies:
            yield _first_responses(spread)
        if self._settings.summary_latencies:
            yield from self._summaries(read)

    def _summaries(self, read: Sequence[tuple[Labels, ServedVersion]]) -> Iterator[Metric]:
        shares = self._settings.summary_quantiles
        summaries = [
            (labels, version.config.proto.response_cache.enable, version.model.summaries(shares))
            for labels, version in read
        ]
        for name, words, key in _SUMMARIES:
            family = summary(name, words)
            for labels, cached, values in summaries:
                if values is None or (key in _OF_THE_CACHE and not cached):
                    continue
                count, total, quantiles = values[key]
                family.add_sample(f"{name}_count", labels, count)
                family.add_sample(f"{name}_sum", labels, round(total, 3))
                for share, value in zip(shares, quantiles, strict=True):
                    family.add_sample(name, labels | {"quantile": f"{share:g}"}, round(value, 3))
            if family.samples:
                yield family


def _add_histogram(
    family: Metric,
    labels: Labels,
    spread: tuple[int, float, list[tuple[int, int]]],
    exponents: tuple[int, int],
    examples: Sequence[tuple[int, str, float, int]],
) -> None:
    count, total, buckets = spread
    at = 0
    below = 0
    lower = -math.inf
    for exponent in range(exponents[0], exponents[1] + 1):
        bound = math.ldexp(1.0, exponent)
        while at < len(buckets) and _BOUNDS[buckets[at][0]] <= bound:
            below += buckets[at][1]
            at += 1
        example = _example(examples, lower, bound)
        family.add_sample(f"{family.name}_bucket", labels | {"le": repr(bound)}, below, None, example)
        lower = bound
    example = _example(examples, lower, math.inf)
    family.add_sample(f"{family.name}_bucket", labels | {"le": "+Inf"}, count, None, example)
    family.add_sample(f"{family.name}_count", labels, count)
    family.add_sample(f"{family.name}_sum", labels, total)


def _example(examples: Sequence[tuple[int, str, float, int]], lower: float, upper: float) -> Exemplar | None:
    """The last traced request that is counted in the bucket from ``lower`` to ``upper``."""
    here = [each for each in examples if lower < _BOUNDS[min(8 * each[0], len(_BOUNDS) - 1)] <= upper]
    if not here:
        return None
    _, trace, value, at_ms = max(here, key=lambda each: each[3])
    return Exemplar({"trace_id": trace}, value, at_ms / 1000)


def _first_responses(spread: Sequence[tuple[Labels, dict[str, Any]]]) -> Metric:
    family = histogram(_FIRST_RESPONSE, "Duration from request to first response in milliseconds")
    for labels, distributions in spread:
        count, total, bounds, counts = distributions["first_response_ms"]
        below = 0
        for bound, each in zip(bounds, counts, strict=False):
            below += each
            family.add_sample(f"{_FIRST_RESPONSE}_bucket", labels | {"le": f"{bound:g}"}, below)
        family.add_sample(f"{_FIRST_RESPONSE}_bucket", labels | {"le": "+Inf"}, count)
        family.add_sample(f"{_FIRST_RESPONSE}_count", labels, count)
        family.add_sample(f"{_FIRST_RESPONSE}_sum", labels, total)
    return family
