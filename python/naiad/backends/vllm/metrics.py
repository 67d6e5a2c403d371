"""vLLM's own metrics on the server's page: all of them, read where vLLM keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from naiad.backends.python.metric_family import Metric, MetricFamily

_PREFIX = "vllm:"
_KINDS = {
    "counter": MetricFamily.COUNTER,
    "gauge": MetricFamily.GAUGE,
    "histogram": MetricFamily.HISTOGRAM,
}
_OLD_NAMES = {"vllm:inter_token_latency_seconds": "vllm:time_per_output_token_seconds"}
"""vLLM's name -> the one that Triton's backend gives the same numbers; both are there."""
_LEFT_OUT = frozenset({"vllm:lora_requests_info"})
"""Its labels are the adapters at work: a new line for each mixture of them, for ever."""
_OWN_LABELS = ("le", "model_name")

Labels = tuple[tuple[str, str], ...]


class EngineMetrics:
    """The metrics of one engine, with the labels of its model. One thread at a time."""

    def __init__(self, labels: Mapping[str, str], collect: Callable[[], Iterable[Any]]) -> None:
        """``collect``: of a registry of prometheus_client. ``labels`` are added to vLLM's own, of which the
        name of the model is left out.
        """
        self._labels = dict(labels)
        self._collect = collect
        self._made: dict[tuple[str, Labels], Metric] = {}
        self._families: dict[str, MetricFamily] = {}
        self._told: dict[tuple[str, Labels], tuple[float, tuple[int, ...]]] = {}

    def report(self) -> None:
        """Brings the server's page up to date."""
        for family in self._collect():
            if not family.name.startswith(_PREFIX) or family.type not in _KINDS or family.name in _LEFT_OUT:
                continue
            for name in filter(None, (family.name, _OLD_NAMES.get(family.name))):
                if family.type == "histogram":
                    self._report_histograms(name, family)
                else:
                    self._report_values(name, family)

    def _report_values(self, name: str, family: Any) -> None:
        name = f"{name}_total" if family.type == "counter" else name
        for sample in family.samples:
            if sample.name == name:
                key = name, self._labels_of(sample)
                self._replace(key, family, (), sample.value, ())

    def _report_histograms(self, name: str, family: Any) -> None:
        bounds: dict[Labels, list[float]] = {}
        counts: dict[Labels, list[int]] = {}
        sums: dict[Labels, float] = {}
        for sample in family.samples:
            labels = self._labels_of(sample)
            if sample.name.endswith("_bucket"):
                bounds.setdefault(labels, []).append(float(sample.labels["le"]))
                counts.setdefault(labels, []).append(int(sample.value))
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        for labels, upto in counts.items():
            each = [upto[0], *(high - low for low, high in zip(upto, upto[1:], strict=False))]
            self._replace((name, labels), family, bounds[labels][:-1], sums.get(labels, 0.0), each)

    def _replace(
        self,
        key: tuple[str, Labels],
        family: Any,
        buckets: Iterable[float],
        value: float,
        counts: Iterable[int],
    ) -> None:
        state = value, tuple(counts)
        if self._told.get(key) == state:
            return
        name, labels = key
        metric = self._made.get(key)
        if metric is None:
            if name not in self._families:
                self._families[name] = MetricFamily(name, family.documentation, _KINDS[family.type])
            metric = self._made[key] = self._families[name].Metric(dict(labels), list(buckets) or None)
        metric._replace(*state)
        self._told[key] = state

    def _labels_of(self, sample: Any) -> Labels:
        own = {name: value for name, value in sample.labels.items() if name not in _OWN_LABELS}
        return tuple(sorted((self._labels | own).items()))
