"""What many idle connections and many loaded models change: latency, memory, CPU.

Each server is measured alone, with so many connections that have asked once and stay, and, started anew, with
so many models loaded.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from run import commands_of, facts, parse_arguments, publish, start_servers, write_repositories
from sidebyside.case import Case
from sidebyside.measure import Turn
from sidebyside.placement import choose_placement
from sidebyside.report import format_figure
from sidebyside.server_process import ServerError, ServerProcess

_CONNECTIONS = 10_000
_MODELS = 1_000
_CASES = [Case("identity_native", "http", 16, concurrency) for concurrency in (1, 8)]


def _measure(server: ServerProcess, seconds: float, rounds: int) -> dict[str, float]:
    """Medians over rounds: p50 in ms and CPU in us at each number in flight; the memory then."""
    found: dict[str, float] = {}
    for case in _CASES:
        turn = Turn(server, case, seconds)
        samples = [turn.run() for _ in range(rounds)]
        label = f"c={case.concurrency}"
        found[f"p50 ms, {label}"] = statistics.median(sample.p50_ms for sample in samples)
        found[f"CPU us, {label}"] = statistics.median(sample.server_cpu_us for sample in samples)
    found["RSS MB"] = server.memory().rss_bytes / 1e6
    return found


def _idle_connection(port: int) -> http.client.HTTPConnection:
    inputs = [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v2/models/identity_native/infer", json.dumps({"inputs": inputs}))
    answer = connection.getresponse()
    if answer.status != 200:
        raise ServerError(f"an idle connection was answered with {answer.status}")
    answer.read()
    return connection


def _rows(title: str, found: dict[str, dict[str, float]]) -> list[str]:
    names = next(iter(found.values())).keys()
    lines = ["", f"## {title}", "", "| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for label, values in found.items():
        lines.append(f"| {label} | " + " | ".join(format_figure(values[name]) for name in names) + " |")
    return lines


def main(arguments: list[str]) -> int:
    """Run the bench and print its tables. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(arguments)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    lines = ["# Many connections, many models", ""] + [f"- {name}: {value}" for name, value in told.items()]
    for label, command in commands_of(options).items():
        found: dict[str, dict[str, float]] = {}
        with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
            repositories = write_repositories(Path(scratch), [label], {"identity_native"})
            servers, _ = start_servers(stack, {label: command}, repositories, Path(scratch), 1, placement)
            with placement.starting_client():
                found["nothing else"] = _measure(servers[label], options.seconds, options.rounds)
                before = servers[label].memory().rss_bytes
                idle = [_idle_connection(servers[label].http_port) for _ in range(_CONNECTIONS)]
                held = servers[label].memory().rss_bytes - before
                title = f"{_CONNECTIONS} idle connections"
                found[title] = _measure(servers[label], options.seconds, options.rounds)
                for connection in idle:
                    connection.close()
        with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
            repositories = write_repositories(Path(scratch), [label], {"identity_native"})
            for number in range(_MODELS):
                shutil.copytree(
                    repositories[label] / "identity_native", repositories[label] / f"identity_{number}"
                )
            servers, figures = start_servers(
                stack, {label: command}, repositories, Path(scratch), 1, placement
            )
            with placement.starting_client():
                title = f"{_MODELS} more models"
                found[title] = _measure(servers[label], options.seconds, options.rounds)
        lines += _rows(label, found)
        lines += [
            "",
            f"- memory of an idle connection: {held / _CONNECTIONS / 1024:.1f} KiB",
            f"- start with {_MODELS} more models: {figures[label].start_s[0]:.1f} s",
        ]
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
