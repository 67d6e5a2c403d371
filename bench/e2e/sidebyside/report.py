"""The table and the JSON that a run leaves behind. Pure functions of what was measured."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidebyside.case import Case
from sidebyside.measure import Sample

NAIAD, TRITON = "naiad", "Triton"
_ABSOLUTE_PATH = re.compile(r"(?<![^\s='\"(])/(?:[^\s/:'\"=,]+/)*([^\s/:'\"=,]+)")

_HEADER = (
    "model|protocol|tensor|in flight|infer/s|p50 ms|p99 ms|server CPU us/request|RSS MB|"
    "infer/s naiad/Triton|CPU naiad/Triton"
)


@dataclass(frozen=True)
class Row:
    """One case as one client measured it. `rounds`: a server's label to its samples, in order of rounds."""

    client: str
    case: Case
    rounds: dict[str, list[Sample]]
    # Why a server has no sample here, in words for the reader, by its label.
    left_out: dict[str, str]


@dataclass(frozen=True)
class ServerFigures:
    """What is said of a server as a whole: the version it tells, its start-ups, the cost of doing nothing."""

    version: str
    start_s: list[float]
    idle_rss_mb: float
    idle_pss_mb: float
    idle_cpu_percent: float


@dataclass(frozen=True)
class Run:
    """Everything that one run showed. `facts`: date, commit, command line, versions and the like."""

    facts: dict[str, str]
    servers: dict[str, ServerFigures]
    rows: list[Row]


def without_paths(text: str) -> str:
    """`text` with each absolute path cut to its last name: what is published names no machine's folders."""
    return _ABSOLUTE_PATH.sub(r"\1", text)


def median(samples: list[Sample], figure: Callable[[Sample], float]) -> float:
    """The median over rounds of one figure."""
    return statistics.median(figure(sample) for sample in samples)


def ratio(row: Row, figure: Callable[[Sample], float]) -> float | None:
    """The median over rounds of naiad's figure over Triton's; None when one of them has none."""
    ours, theirs = row.rounds.get(NAIAD), row.rounds.get(TRITON)
    if not ours or not theirs:
        return None
    return statistics.median(figure(a) / figure(b) for a, b in zip(ours, theirs, strict=True))


def format_figure(value: float) -> str:
    """Three significant digits and no exponent: 12,300 or 45.6 or 0.0789."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _pair(row: Row, figure: Callable[[Sample], float]) -> str:
    shown = []
    for label in (NAIAD, TRITON):
        samples = row.rounds.get(label)
        shown.append(format_figure(median(samples, figure)) if samples else "-")
    return " / ".join(shown)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _row_line(row: Row) -> str:
    ratios = [ratio(row, lambda s: s.requests_per_s), ratio(row, lambda s: s.server_cpu_us)]
    return _line(
        [
            row.case.model,
            row.case.protocol,
            row.case.size,
            str(row.case.concurrency),
            _pair(row, lambda s: s.requests_per_s),
            _pair(row, lambda s: s.p50_ms),
            _pair(row, lambda s: s.p99_ms),
            _pair(row, lambda s: s.server_cpu_us),
            _pair(row, lambda s: s.rss_mb),
            *("-" if each is None else f"{each:.2f}" for each in ratios),
        ]
    )


def _table(header: list[str], lines: list[str]) -> list[str]:
    return [_line(header), _line(["---"] * len(header)), *lines, ""]


def _server_lines(run: Run) -> list[str]:
    lines = [
        _line(
            [
                label,
                each.version,
                f"{statistics.median(each.start_s):.2f}",
                format_figure(each.idle_rss_mb),
                format_figure(each.idle_pss_mb),
                f"{each.idle_cpu_percent:.1f}",
            ]
        )
        for label, each in run.servers.items()
    ]
    header = ["server", "version", "start to ready s", "idle RSS MB", "idle PSS MB", "idle CPU %"]
    return _table(header, lines)


def render_markdown(run: Run) -> str:
    """The run as markdown: what it ran on, the servers, a table per client; each cell is "naiad / Triton"."""
    lines = ["# naiad beside Triton", ""]
    lines += [f"- {name}: {value}" for name, value in run.facts.items()]
    if TRITON not in run.servers:
        lines += ["", "**No Triton was given (NAIAD_BENCH_TRITON): naiad alone, nothing is compared.**"]
    lines += ["", *_server_lines(run)]
    for client in dict.fromkeys(row.client for row in run.rows):
        rows = [row for row in run.rows if row.client == client]
        lines += [f"## Client: {client}", "", "Each cell is naiad / Triton, the median over rounds.", ""]
        lines += _table(_HEADER.split("|"), [_row_line(row) for row in rows])
        notes = {f"- {row.case.model}: {label} {why}" for row in rows for label, why in row.left_out.items()}
        lines += [*sorted(notes), ""] if notes else []
    return "\n".join(lines).rstrip() + "\n"


def render_json(run: Run) -> str:
    """The run with every round of every figure."""
    rows: list[dict[str, Any]] = [
        {
            "client": row.client,
            **dataclasses.asdict(row.case),
            "rounds": {label: [dataclasses.asdict(s) for s in each] for label, each in row.rounds.items()},
            "left_out": row.left_out,
        }
        for row in run.rows
    ]
    servers = {label: dataclasses.asdict(each) for label, each in run.servers.items()}
    return json.dumps({"facts": run.facts, "servers": servers, "rows": rows}, indent=1) + "\n"
