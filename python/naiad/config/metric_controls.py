"""What a configuration says of the metrics of its model."""

from __future__ import annotations

import math
from typing import Any

from naiad.errors import ConfigError

FIRST_RESPONSE = "nv_inference_first_response_histogram_ms"
"""The one family whose buckets can be chosen."""
DEFAULT_BUCKETS_MS = (100.0, 500.0, 2000.0, 5000.0)
_MAX_BUCKETS = 100
_FIELD = "model_metrics.metric_control"


def first_response_buckets_ms(message: Any) -> tuple[float, ...]:
    """Upper bounds, ascending: those that are given last, or Triton's."""
    buckets = DEFAULT_BUCKETS_MS
    for control in message.model_metrics.metric_control:
        if _is_first_response(control) and control.histogram_options.buckets:
            buckets = tuple(control.histogram_options.buckets)
    return buckets


def has_unknown_metric(message: Any) -> bool:
    """Whether it wants something of another family."""
    return any(not _is_first_response(control) for control in message.model_metrics.metric_control)


def validate_metric_controls(message: Any) -> None:
    """Raises ConfigError for buckets that are none."""
    for control in message.model_metrics.metric_control:
        buckets = list(control.histogram_options.buckets)
        if len(buckets) > _MAX_BUCKETS:
            raise ConfigError(
                f"a histogram has at most {_MAX_BUCKETS} buckets, got {len(buckets)} for {message.name}",
                field=f"{_FIELD}.histogram_options.buckets",
            )
        finite = all(math.isfinite(bound) for bound in buckets)
        if not finite or any(low >= high for low, high in zip(buckets, buckets[1:], strict=False)):
            raise ConfigError(
                f"the buckets of a histogram must be ascending and finite for {message.name}",
                field=f"{_FIELD}.histogram_options.buckets",
            )


def _is_first_response(control: Any) -> bool:
    return bool(control.metric_identifier.family == FIRST_RESPONSE)
