"""Batching under open-loop load: throughput and p99 against the load that is offered.

The model is one Python file on both servers: it sleeps 8 ms for a batch and 1 ms for each of its rows, at
most 8 rows and 64 requests waiting, so it can answer 500 requests per second. Loads go up to ten times that.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from run import commands_of, facts, parse_arguments, publish, start_servers
from sidebyside.case import Case
from sidebyside.openloop import run_open_loop
from sidebyside.placement import choose_placement
from sidebyside.report import format_figure
from sidebyside.request_body import prepare
from sidebyside.stages import write_stage

_CAPACITY = 500
_SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.5, 3.0, 10.0)
_CASE = Case("stage_batching", "http", 16, 1)


def _percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _measure(server: Any, share: float, seconds: float, seed: int) -> dict[str, float]:
    request = prepare(_CASE, server.http_port, server.grpc_port)
    before = server.get_json(f"/v2/models/{_CASE.model}/stats")["model_stats"][0]
    result = run_open_loop(request, server.http_port, _CAPACITY * share, seconds, seed)
    after = server.get_json(f"/v2/models/{_CASE.model}/stats")["model_stats"][0]
    batches = after["execution_count"] - before["execution_count"]
    rows = after["inference_count"] - before["inference_count"]
    return {
        "goodput": result.goodput,
        "p50_ms": _percentile(result.answered_ms, 50),
        "p99_ms": _percentile(result.answered_ms, 99),
        "refused": len(result.refused_ms),
        "refused_p99_ms": _percentile(result.refused_ms, 99),
        "failed": result.num_failed,
        "rows_per_batch": rows / max(1, batches),
    }


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(arguments)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    commands = commands_of(options)
    found: dict[str, dict[float, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        repositories = {}
        for label in commands:
            repositories[label] = Path(scratch) / label / "models"
            repositories[label].mkdir(parents=True)
            policy = "default_queue_policy { max_queue_size: 64 }"
            write_stage(
                repositories[label],
                _CASE.model,
                sleep_ms=8,
                row_us=1000,
                max_batch_size=8,
                batching=f"max_queue_delay_microseconds: 2000 {policy}",
            )
        servers, _ = start_servers(stack, commands, repositories, Path(scratch), 1, placement)
        with placement.starting_client():
            for share in _SHARES:
                for seed in range(options.rounds):
                    for label, server in servers.items():
                        print(f"{label} x{share:g}", file=sys.stderr, flush=True)
                        sample = _measure(server, share, options.seconds, seed)
                        found.setdefault(label, {}).setdefault(share, []).append(sample)
    lines = ["# Batching under open-loop load", ""] + [f"- {name}: {value}" for name, value in told.items()]
    lines += ["", "Each cell is naiad / Triton, the median over rounds. A refusal is a 503.", ""]
    names = ("goodput", "p50_ms", "p99_ms", "refused", "refused_p99_ms", "failed", "rows_per_batch")
    lines += ["| offered/s | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for share in _SHARES:
        cells = [
            " / ".join(
                format_figure(statistics.median(sample[name] for sample in found[label][share]))
                for label in servers
            )
            for name in names
        ]
        lines.append(f"| {_CAPACITY * share:g} | " + " | ".join(cells) + " |")
    publish(lines, options.out)
    if options.out:
        figures = {
            label: {f"{share:g}": rounds for share, rounds in by.items()} for label, by in found.items()
        }
        options.out.with_suffix(".json").write_text(
            json.dumps({"facts": told, "open_loop": figures}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
