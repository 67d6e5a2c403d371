"""``--metrics-config``: which metrics of models are shown, and whether there is a page to look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from naiad.cli.values import refuse, switch

_refuse = partial(refuse, flag="--metrics-config")
_SWITCHES = ("counter_latencies", "summary_latencies", "histogram_latencies", "dashboard")


def metrics_config(entries: Sequence[str]) -> dict[str, Any]:
    """``key=value`` with Triton's keys and ``dashboard``, as fields of MetricsSettings. Others: refused."""
    fields: dict[str, Any] = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals:
            _refuse(f"'{entry}' should be <key>=<value>")
        if key in _SWITCHES:
            fields[key] = switch(value).on
        elif key == "summary_quantiles":
            fields[key] = _quantiles(value)
        else:
            _refuse(f"unknown setting '{key}'")
    return fields


def _quantiles(text: str) -> tuple[float, ...]:
    # <quantile>:<allowed error>. Ours are read from buckets: their rank is exact, their value within 5 %.
    quantiles: list[float] = []
    for pair in text.split(","):
        quantile, colon, error = pair.partition(":")
        if not colon or _share(quantile) is None or _share(error) is None:
            _refuse(f"'{pair}' should be <quantile>:<error>, both from 0 to 1")
        quantiles.append(float(quantile))
    return tuple(dict.fromkeys(quantiles))


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
