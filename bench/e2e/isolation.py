"""What a Python model costs in a process of its own and as a thread of the server, beside a real Triton.

The same model.py on all of them, in turns: `identity_py` for requests of clients, and `caller_py`, which
calls a native model and a Python one, for business logic scripting.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from run import facts, parse_arguments, publish, start_servers, write_repositories
from sidebyside.case import CONCURRENCIES, NUM_FLOATS, Case
from sidebyside.measure import Sample, Turn
from sidebyside.placement import choose_placement
from sidebyside.report import TRITON, format_figure
from sidebyside.server_process import ServerProcess

_WORKER, _THREAD = "naiad, worker", "naiad, thread"
_CALLED = ("identity_native", "identity_py")
_CALLS = 3000
_CALLER = Path(__file__).resolve().parent / "models" / "caller_py"
_CASES = [
    Case("identity_py", protocol, num_floats, concurrency)
    for protocol in ("http", "grpc")
    for num_floats in NUM_FLOATS
    for concurrency in CONCURRENCIES
]


def _call_us(server: ServerProcess, model: str) -> float:
    """The median time of a call that a model makes, in us. Raises URLError."""
    inputs = [
        {"name": "MODEL", "datatype": "BYTES", "shape": [1], "data": [model]},
        {"name": "CALLS", "datatype": "INT32", "shape": [1], "data": [_CALLS]},
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}/v2/models/caller_py/infer",
        json.dumps({"inputs": inputs}).encode(),
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return float(json.load(answer)["outputs"][0]["data"][0])


def _line(name: str, cells: list[list[float]]) -> str:
    return f"| {name} | " + " | ".join(", ".join(format_figure(x) for x in cell) for cell in cells) + " |"


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(arguments)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    lines = ["# Python models: worker processes and threads", ""]
    lines += [f"- {name}: {value}" for name, value in told.items()] + [""]
    thread = options.naiad_command + " --backend-config=python,isolation=thread"
    commands = {_WORKER: options.naiad_command, _THREAD: thread}
    if options.triton_command:
        commands[TRITON] = options.triton_command
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        repositories = write_repositories(Path(scratch), list(commands), set(_CALLED))
        for repository in repositories.values():
            shutil.copytree(_CALLER, repository / "caller_py")
        servers, _ = start_servers(stack, commands, repositories, Path(scratch), 1, placement)
        lines.append(
            "| case | " + " | ".join(f"{label}: infer/s, p50 ms, CPU us" for label in servers) + " |"
        )
        lines.append("| --- |" + " --- |" * len(servers))
        with placement.starting_client():
            for case in _CASES:
                turns = {label: Turn(server, case, options.seconds) for label, server in servers.items()}
                found: dict[str, list[Sample]] = {label: [] for label in servers}
                for _ in range(options.rounds):
                    for label, turn in turns.items():
                        found[label].append(turn.run())
                columns = ("requests_per_s", "p50_ms", "server_cpu_us")
                cells = [
                    [statistics.median(getattr(sample, name) for sample in found[label]) for name in columns]
                    for label in servers
                ]
                lines.append(_line(case.name, cells))
            lines += ["", "| a call that a model makes, us | " + " | ".join(servers) + " |"]
            lines.append("| --- |" + " --- |" * len(servers))
            for model in _CALLED:
                spent: dict[str, list[float]] = {label: [] for label in servers}
                for _ in range(options.rounds):
                    for label, server in servers.items():
                        spent[label].append(_call_us(server, model))
                lines.append(_line(f"of {model}", [[statistics.median(spent[label])] for label in servers]))
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
