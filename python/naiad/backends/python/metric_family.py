"""``pb_utils.MetricFamily``: metrics of a model's own, on the server's metrics page.

They live as long as the model holds them. What is here is of the process, as is the module that
models import.
"""

from __future__ import annotations

import re
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from naiad.errors import InvalidArgument

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")

_lock = threading.Lock()  # guards all families and series
_families: weakref.WeakValueDictionary[str, _Family] = weakref.WeakValueDictionary()

Labels = tuple[tuple[str, str], ...]

_ask: Callable[..., Any] | None = None
_tell: Callable[..., None] | None = None


def serve_elsewhere(ask: Callable[..., Any], tell: Callable[..., None]) -> None:
    """From now on the metrics of this process are its server's: both reach a RemoteMetrics there."""
    global _ask, _tell
    _ask, _tell = ask, tell


class _Series:
    """One line, or the lines of one histogram. With the lock held."""

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self.value = 0.0
        self.buckets = buckets
        self.counts = [0] * (len(buckets) + 1)


class _Family:
    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name
        self.description = description
        self.kind = kind
        self.series: weakref.WeakValueDictionary[Labels, _Series] = weakref.WeakValueDictionary()


class MetricFamily:
    """Metrics of one name. One that another model has made of the same name and kind is the same one."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2

    def __init__(self, name: str, description: str, kind: int) -> None:
        """Raises InvalidArgument for a name that is none, or that is of another kind already."""
        if not _NAME.match(name):
            raise InvalidArgument(f"MetricFamily: '{name}' is not a name of metrics")
        if kind not in (self.COUNTER, self.GAUGE, self.HISTOGRAM):
            raise InvalidArgument(f"MetricFamily: there is no kind {kind}")
        with _lock:
            family = _families.get(name)
            if family is None:
                family = _families[name] = _Family(name, description, kind)
            elif family.kind != kind:
                raise InvalidArgument(f"MetricFamily: '{name}' is of another kind already")
        self._family = family
        if _ask is not None:
            _ask("metrics", operation="family", name=name, description=description, kind=kind)

    def Metric(
        self, labels: Mapping[str, str] | None = None, buckets: Sequence[float] | None = None
    ) -> Metric:
        """The metric with these labels; one that has them already is the same one. ``buckets``: the upper
        bounds of a histogram's, ascending.
        """
        return Metric(self._family, labels or {}, buckets)


class Metric:
    """A counter, a gauge or a histogram. Any thread."""

    def __init__(self, family: _Family, labels: Mapping[str, str], buckets: Sequence[float] | None) -> None:
        wrong = next((name for name in labels if not _LABEL.match(name)), None)
        if wrong is not None:
            raise InvalidArgument(f"Metric: '{wrong}' is not a name of a label")
        bounds = tuple(float(bound) for bound in buckets or ())
        if (family.kind == MetricFamily.HISTOGRAM) != bool(bounds):
            raise InvalidArgument("Metric: a histogram needs buckets, and nothing else has any")
        if any(low >= high for low, high in zip(bounds, bounds[1:], strict=False)):
            raise InvalidArgument("Metric: the buckets of a histogram ascend")
        key = tuple(sorted((name, str(value)) for name, value in labels.items()))
        self._family = family
        with _lock:
            series = family.series.get(key)
            if series is None:
                series = family.series[key] = _Series(bounds)
        self._series = series
        self._key = key
        if _ask is not None:
            _ask("metrics", operation="metric", name=family.name, labels=key, buckets=bounds)

    def increment(self, value: float) -> None:
        """Of a counter, which does not fall, or a gauge."""
        self._refuse("increment", MetricFamily.HISTOGRAM)
        if self._family.kind == MetricFamily.COUNTER and value < 0:
            raise InvalidArgument("Metric: a counter can not be incremented by a negative value")
        with _lock:
            self._series.value += value
        self._pass_on("increment", value)

    def set(self, value: float) -> None:
        """Of a gauge."""
        self._refuse("set", MetricFamily.HISTOGRAM, MetricFamily.COUNTER)
        with _lock:
            self._series.value = float(value)
        self._pass_on("set", value)

    def observe(self, value: float) -> None:
        """Of a histogram."""
        self._refuse("observe", MetricFamily.COUNTER, MetricFamily.GAUGE)
        with _lock:
            self._series.counts[bisect_left(self._series.buckets, value)] += 1
            self._series.value += value
        self._pass_on("observe", value)

    def _replace(self, value: float, counts: Sequence[int] = ()) -> None:
        """What others have counted takes the place of what was here. Of a histogram ``value`` is the sum, and
        ``counts`` those of the buckets, what lies above the last of them included.
        """
        with _lock:
            if len(counts) != (len(self._series.counts) if self._series.buckets else 0):
                raise InvalidArgument("Metric: there is a count for each bucket, and one more")
            self._series.value = float(value)
            self._series.counts = list(counts) or self._series.counts
        self._pass_on("replace", value, counts)

    def value(self) -> float:
        """Of a counter or a gauge."""
        self._refuse("value", MetricFamily.HISTOGRAM)
        if _ask is not None:
            return float(_ask("metrics", operation="value", name=self._family.name, labels=self._key))
        with _lock:
            return self._series.value

    def _pass_on(self, operation: str, value: float, counts: Sequence[int] = ()) -> None:
        if _tell is not None:
            more = {"counts": counts} if counts else {}
            _tell(
                "metrics",
                operation=operation,
                name=self._family.name,
                labels=self._key,
                value=float(value),
                **more,
            )

    def _refuse(self, operation: str, *kinds: int) -> None:
        if self._family.kind in kinds:
            kind = ("counter", "gauge", "histogram")[self._family.kind]
            raise InvalidArgument(f"Metric: a {kind} has no '{operation}'")


class RemoteMetrics:
    """The metrics of a model whose code runs in workers. They live as long as the model; instances that make
    the same one share it.
    """

    def __init__(self) -> None:
        self._families: dict[str, MetricFamily] = {}
        self._metrics: dict[tuple[str, Labels], Metric] = {}

    def do(self, operation: str, name: str, **more: Any) -> float | None:
        """What a worker asks for. Raises InvalidArgument."""
        if operation == "family":
            self._families[name] = MetricFamily(name, more["description"], more["kind"])
            return None
        key = name, tuple((str(label), str(value)) for label, value in more["labels"])
        if operation == "metric":
            if name not in self._families:
                raise InvalidArgument(f"Metric: there is no family '{name}'")
            self._metrics[key] = self._families[name].Metric(dict(key[1]), more["buckets"] or None)
            return None
        metric = self._metrics.get(key)
        if metric is None or operation not in ("increment", "set", "observe", "replace", "value"):
            raise InvalidArgument(f"Metric: there is no such metric of family '{name}'")
        if operation == "value":
            return metric.value()
        if operation == "replace":
            metric._replace(more["value"], more.get("counts", ()))
        else:
            getattr(metric, operation)(more["value"])
        return None


@dataclass(frozen=True, slots=True)
class FamilyReading:
    """A family as it is now."""

    name: str
    description: str
    kind: str
    """counter, gauge, histogram"""
    samples: list[tuple[str, dict[str, str], float]]
    """The name of the line (a histogram has several), its labels, its value."""


def read_families() -> list[FamilyReading]:
    """All that live, by name."""
    with _lock:
        return [
            FamilyReading(
                family.name,
                family.description,
                ("counter", "gauge", "histogram")[family.kind],
                [
                    sample
                    for labels, series in sorted(family.series.items())
                    for sample in _samples(family.name, dict(labels), series)
                ],
            )
            for family in sorted(_families.values(), key=lambda family: family.name)
        ]


def _samples(
    name: str, labels: dict[str, str], series: _Series
) -> Iterator[tuple[str, dict[str, str], float]]:
    if not series.buckets:
        yield name, labels, series.value
        return
    bounds = [*(f"{bound:g}" for bound in series.buckets), "+Inf"]
    for bound, count in zip(bounds, accumulate(series.counts), strict=True):
        yield f"{name}_bucket", labels | {"le": bound}, count
    yield f"{name}_sum", labels, series.value
    yield f"{name}_count", labels, sum(series.counts)
