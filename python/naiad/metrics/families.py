"""Metric families under their exact names.

prometheus_client's own counter family is renamed to ``..._total`` when it is written; Triton's counters
have no such suffix, and its dashboards ask for the names as they are. So families are ``Metric`` objects
whose samples carry their names, and ``exposition`` and ``openmetrics`` write those names.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString


def counter(name: str, documentation: str) -> Metric:
    """A family that only grows."""
    return Metric(name, documentation, "counter")


def gauge(name: str, documentation: str) -> Metric:
    """A family that goes up and down."""
    return Metric(name, documentation, "gauge")


def histogram(name: str, documentation: str) -> Metric:
    """A family of buckets, each with all that is not above it."""
    return Metric(name, documentation, "histogram")


def summary(name: str, documentation: str) -> Metric:
    """A family of quantiles."""
    return Metric(name, documentation, "summary")


def add(family: Metric, labels: dict[str, str], value: float) -> None:
    """One sample of ``family``."""
    family.add_sample(family.name, labels, value)


def exposition(families: Iterable[Metric]) -> bytes:
    """The text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    lines: list[str] = []
    for family in families:
        help_text = family.documentation.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"# HELP {family.name} {help_text}")
        lines.append(f"# TYPE {family.name} {family.type}")
        for sample in family.samples:
            labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in sorted(sample.labels.items()))
            value = "NaN" if sample.value != sample.value else sample.value
            lines.append(f"{sample.name}{{{labels}}} {value}" if labels else f"{sample.name} {value}")
    lines.append("")
    return "\n".join(lines).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class _Read:
    """Families that have been read, in the place of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


_BOUNDS = ("le", "quantile")


def openmetrics(families: Iterable[Metric]) -> bytes:
    """OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), which has exemplars.

    Names are those of the other format. There a counter's have to end with "_total": those that don't are of
    type unknown.
    """
    text: bytes = generate_latest(_Read(map(_strict, families)))  # type: ignore[no-untyped-call]
    return text


def _strict(family: Metric) -> Metric:
    kind = family.type
    if kind == "counter":
        kind = "unknown"
    strict = Metric(family.name, family.documentation, kind)
    strict.samples = [_with_numbers(sample) for sample in family.samples]
    return strict


def _with_numbers(sample: Sample) -> Sample:
    numbers = {
        name: floatToGoString(sample.labels[name])  # type: ignore[no-untyped-call]
        for name in _BOUNDS
        if name in sample.labels
    }
    return sample._replace(labels=sample.labels | numbers) if numbers else sample
