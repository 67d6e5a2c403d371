"""What a step of an ensemble costs, and whether a pipeline is as fast as its slowest stage.

`ensemble4` is four steps of `identity_native`; `pipeline` is `stage_slow` and `stage_fast`, which sleep. Each
case runs on each server, in turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from run import commands_of, facts, parse_arguments, publish, start_servers, write_repositories
from sidebyside.case import Case
from sidebyside.measure import Sample, Turn
from sidebyside.placement import choose_placement
from sidebyside.report import format_figure
from sidebyside.stages import write_chain, write_stage

_STEPS = 4
_CASES = [
    *(Case("identity_native", protocol, 16, 8) for protocol in ("http", "grpc")),
    *(Case("ensemble4", protocol, 16, 8) for protocol in ("http", "grpc")),
    *(Case(model, "http", 16, 64) for model in ("stage_slow", "stage_fast", "pipeline")),
]


def _write(repository: Path) -> None:
    write_chain(repository, "ensemble4", ["identity_native"] * _STEPS, 64)
    write_stage(repository, "stage_slow", sleep_ms=4, row_us=0, max_batch_size=16)
    write_stage(repository, "stage_fast", sleep_ms=2, row_us=0, max_batch_size=16)
    write_chain(repository, "pipeline", ["stage_slow", "stage_fast"], 16)


def _median(samples: list[Sample], name: str) -> float:
    return statistics.median(getattr(sample, name) for sample in samples)


def _lines(found: dict[tuple[str, Case], list[Sample]], labels: list[str]) -> list[str]:
    lines = ["| case | " + " | ".join(f"{label}: infer/s, p50 ms, CPU us" for label in labels) + " |"]
    lines += ["| --- |" + " --- |" * len(labels)]
    for case in _CASES:
        cells = [
            ", ".join(
                format_figure(_median(found[label, case], name))
                for name in ("requests_per_s", "p50_ms", "server_cpu_us")
            )
            for label in labels
        ]
        lines.append(f"| {case.name} | " + " | ".join(cells) + " |")
    lines.append("")
    for label in labels:
        for protocol in ("http", "grpc"):
            one = _median(found[label, Case("identity_native", protocol, 16, 8)], "server_cpu_us")
            four = _median(found[label, Case("ensemble4", protocol, 16, 8)], "server_cpu_us")
            lines.append(
                f"- {label}, {protocol}: a step of the ensemble costs {format_figure(four / _STEPS)} us of "
                f"CPU, the same {_STEPS} calls by a client {format_figure(one * _STEPS)} us instead of "
                f"{format_figure(four)} us"
            )
        rates = {
            model: _median(found[label, Case(model, "http", 16, 64)], "requests_per_s")
            for model in ("stage_slow", "stage_fast", "pipeline")
        }
        share = rates["pipeline"] / min(rates["stage_slow"], rates["stage_fast"])
        lines.append(f"- {label}: the pipeline runs at {share:.0%} of its slowest stage")
    return lines


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(arguments)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    lines = ["# Ensembles", ""] + [f"- {name}: {value}" for name, value in told.items()] + [""]
    commands = commands_of(options)
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        repositories = write_repositories(Path(scratch), list(commands), {"identity_native"})
        for repository in repositories.values():
            _write(repository)
        servers, _ = start_servers(stack, commands, repositories, Path(scratch), 1, placement)
        found: dict[tuple[str, Case], list[Sample]] = {}
        with placement.starting_client():
            for case in _CASES:
                turns = {label: Turn(server, case, options.seconds) for label, server in servers.items()}
                for _ in range(options.rounds):
                    for label, turn in turns.items():
                        found.setdefault((label, case), []).append(turn.run())
        lines += _lines(found, list(servers))
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
