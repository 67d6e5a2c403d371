"""Levels as rows: for tables, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from naiad.loadgen.measure import Level
from naiad.loadgen.windows import PERCENTILES, Window

_STREAM_PERCENTILES = (50, 90, 99)
STREAM_COLUMNS = (
    *(f"time_to_first_response_{figure}_us" for figure in ("mean", "p50", "p90", "p99")),
    *(f"time_between_responses_{figure}_us" for figure in ("mean", "p50", "p90", "p99")),
    "responses_per_request",
    "responses_per_second",
)
"""None where requests have one response each."""
COLUMNS = (
    "url",
    "concurrency",
    "request_rate",
    "inferences_per_second",
    "requests_per_second",
    "latency_mean_us",
    *(f"latency_p{percent}_us" for percent in PERCENTILES),
    "server_queue_us",
    "server_compute_input_us",
    "server_compute_infer_us",
    "server_compute_output_us",
    "mean_batch",
    "errors",
    "late",
    "client_cpu_us_per_request",
    "stable",
    *STREAM_COLUMNS,
)


def row_of(url: str, level: Level, rows_per_request: int) -> dict[str, Any]:
    """Microseconds, for one request where a time is the server's. ``url``: the server; ``rows_per_request``:
    the batch size.
    """
    window, server = level.window, level.server
    requests = max(1, server.requests)
    handled = max(1, window.answers + window.errors.total())
    figures: dict[str, Any] = {
        "url": url,
        "concurrency": level.concurrency,
        "request_rate": level.rate or None,
        "inferences_per_second": round(window.per_second * rows_per_request, 2),
        "requests_per_second": round(window.per_second, 2),
        "latency_mean_us": round(window.mean_s * 1e6, 1),
    }
    for percent in PERCENTILES:
        figures[f"latency_p{percent}_us"] = round(window.percentile_s(percent) * 1e6, 1)
    figures |= {
        "server_queue_us": round(server.queue_ns / requests / 1e3, 1),
        "server_compute_input_us": round(server.compute_input_ns / requests / 1e3, 1),
        "server_compute_infer_us": round(server.compute_infer_ns / requests / 1e3, 1),
        "server_compute_output_us": round(server.compute_output_ns / requests / 1e3, 1),
        "mean_batch": round(server.requests * rows_per_request / max(1, server.executions), 2),
        "errors": window.errors.total(),
        "late": window.late,
        "client_cpu_us_per_request": round(window.client_cpu_s / handled * 1e6, 1),
        "stable": level.stable,
    }
    return figures | (_responses(window) if window.responses else dict.fromkeys(STREAM_COLUMNS))


def _responses(window: Window) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, times in (
        ("time_to_first_response", window.first),
        ("time_between_responses", window.between),
    ):
        figures[f"{name}_mean_us"] = round(times.mean_s * 1e6, 1)
        for percent in _STREAM_PERCENTILES:
            figures[f"{name}_p{percent}_us"] = round(times.percentile_s(percent) * 1e6, 1)
    figures["responses_per_request"] = round(window.responses / max(1, window.answers), 2)
    figures["responses_per_second"] = round(window.responses / window.seconds, 2) if window.seconds else 0.0
    return figures


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """With a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
