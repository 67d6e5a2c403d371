"""What ``naiad bench`` shows of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from naiad.cli.console import plain_table

_HEADS = {
    "responses_per_second": "Resp/s",
    "responses_per_request": "Resp/req",
    "time_to_first_response_mean_us": "First",
    "time_to_first_response_p50_us": "p50",
    "time_to_first_response_p90_us": "p90",
    "time_to_first_response_p99_us": "p99",
    "time_between_responses_mean_us": "Between",
    "time_between_responses_p50_us": "p50",
    "time_between_responses_p99_us": "p99",
}


def responses_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Responses of each level: how many, until the first one, from one to the next."""
    table = plain_table()
    several = len({row["url"] for row in rows}) > 1
    if several:
        table.add_column("Server", no_wrap=True)
    table.add_column("Rate" if any(row["request_rate"] for row in rows) else "Conc", justify="right")
    for head in _HEADS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        load = row["concurrency"] if row["request_rate"] is None else f"{row['request_rate']:g}"
        cells = [_cell(name, row[name]) for name in _HEADS]
        table.add_row(
            *([row["url"]] if several else []), str(load), *cells, style="" if row["stable"] else "dim"
        )
    return table


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if name == "responses_per_request" else f"{value:,.0f}"
