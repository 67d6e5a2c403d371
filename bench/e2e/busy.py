"""What a Python model that keeps the interpreter busy does to a native model beside it.

Each server runs twice, with and without `models/busy_py` in its repository, in turns; the load goes to
`identity_native`. The table holds p50, p99 and infer/s, and the ratio of "beside a busy model" over "alone".
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from run import commands_of, facts, parse_arguments, publish, write_repositories
from sidebyside.case import Case
from sidebyside.measure import Sample, Turn
from sidebyside.placement import choose_placement
from sidebyside.report import format_figure
from sidebyside.server_process import ServerProcess

_BUSY = Path(__file__).resolve().parent / "models" / "busy_py"
_CASES = [Case("identity_native", protocol, 16, count) for protocol in ("http", "grpc") for count in (1, 32)]


def _start(
    options: argparse.Namespace, stack: ExitStack, scratch: Path
) -> dict[tuple[str, bool], ServerProcess]:
    commands = commands_of(options)
    servers = {}
    for busy in (False, True):
        place = scratch / ("busy" if busy else "alone")
        for label, folder in write_repositories(place, list(commands), {"identity_native"}).items():
            if busy:
                shutil.copytree(_BUSY, folder / "busy_py")
            log = place / f"{label}.log"
            server = stack.enter_context(ServerProcess(label, commands[label], folder, log))
            stack.callback(_resume, server)
            servers[label, busy] = server
    return servers


def _resume(server: ServerProcess) -> None:
    for process in server.processes():
        process.resume()


@contextmanager
def _awake(server: ServerProcess) -> Iterator[None]:
    """The server runs within, and stands still before and after: a busy one costs the others no time."""
    _resume(server)
    try:
        yield
    finally:
        for process in server.processes():
            process.suspend()


def _line(case: Case, label: str, alone: list[Sample], beside: list[Sample]) -> str:
    def pair(name: str) -> str:
        return " / ".join(
            format_figure(statistics.median(getattr(sample, name) for sample in samples))
            for samples in (alone, beside)
        )

    ratio = statistics.median(b.p99_ms / a.p99_ms for a, b in zip(alone, beside, strict=True))
    cells = [label, case.protocol, str(case.concurrency), pair("p50_ms"), pair("p99_ms")]
    return "| " + " | ".join([*cells, pair("requests_per_s"), f"{ratio:.2f}"]) + " |"


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(["--placement=free", *arguments])
    placement = choose_placement(frozenset(), pinned=False)
    told = facts(options, placement)
    lines = ["# A native model beside a busy Python model", ""]
    lines += [f"- {name}: {value}" for name, value in told.items()]
    lines += ["", "Each cell is alone / beside a Python model that computes half of the time.", ""]
    lines += ["| server | protocol | in flight | p50 ms | p99 ms | infer/s | p99 beside/alone |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        servers = _start(options, stack, Path(scratch))
        for case in _CASES:
            turns = {}
            for key, server in servers.items():
                with _awake(server):
                    turns[key] = Turn(server, case, options.seconds)
            samples: dict[tuple[str, bool], list[Sample]] = {key: [] for key in turns}
            for _ in range(options.rounds):
                for key, turn in turns.items():
                    with _awake(servers[key]):
                        samples[key].append(turn.run())
            labels = dict.fromkeys(label for label, _ in servers)
            lines += [_line(case, label, samples[label, False], samples[label, True]) for label in labels]
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
