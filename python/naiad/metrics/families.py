"""Metric families under their exact names.

prometheus_client's own counter family is renamed to ``..._total`` when it is written; Triton's counters
have no such suffix, and its dashboards ask for the names as they are. So families are ``Metric`` objects
whose samples carry their names, and ``exposition`` writes those names.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric


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
