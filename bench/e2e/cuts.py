"""Clients that are cut off at any byte of a request, beside others that are not: what became of those, and
of the server.

`--rounds` times a thousand cuts for each server and protocol.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from run import commands_of, facts, parse_arguments, publish, start_servers, write_repositories
from sidebyside.case import Case
from sidebyside.cuts import record, run_cuts
from sidebyside.placement import choose_placement
from sidebyside.report import format_figure
from sidebyside.request_body import prepare
from sidebyside.server_process import ServerProcess

_CUTS = 1000
_FLOATS = 3000
_SETTLE_S = 5.0


def _asker(server: ServerProcess, protocol: str) -> tuple[int, Callable[[int], bool]]:
    case = Case("identity_py_batching", protocol, _FLOATS, 1)

    def ask(port: int) -> bool:
        # It sends one request on a connection of its own, and raises when the answer is not the right one.
        prepare(case, port, port)
        return True

    return server.http_port if protocol == "http" else server.grpc_port, ask


def _line(server: ServerProcess, protocol: str, count: int) -> str:
    port, ask = _asker(server, protocol)
    said = record(port, lambda relay: str(ask(relay)))
    files = sum(process.num_fds() for process in server.processes())
    memory = server.memory().rss_bytes
    ledger = run_cuts(port, said, count, lambda: ask(port), seed=random.Random(count).randrange(1 << 30))
    time.sleep(_SETTLE_S)
    try:
        alive = "yes" if ask(port) else "no"
        more_files = str(sum(process.num_fds() for process in server.processes()) - files)
        grown_mb = format_figure((server.memory().rss_bytes - memory) / 1e6)
    except Exception as error:
        alive, more_files, grown_mb = f"no ({type(error).__name__})", "-", "-"
    cells = [server.label, protocol, str(ledger.num_cuts), str(ledger.num_right), str(ledger.num_wrong)]
    cells += [
        format_figure(ledger.slowest_ms),
        more_files,
        grown_mb,
        alive,
        "; ".join(ledger.problems) or "-",
    ]
    return "| " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Takes the flags of run.py. Returns the exit status."""
    options = parse_arguments(arguments)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    told["rounds"] = f"{options.rounds * _CUTS} cuts for each server and protocol, at any of the bytes"
    commands = commands_of(options)
    lines = ["# Clients that are cut off", ""] + [f"- {name}: {value}" for name, value in told.items()] + [""]
    names = ("server", "protocol", "cut", "others: right", "wrong or lost", "slowest ms", "files left open")
    names += ("RSS grown MB", "still serves", "problems of the others")
    lines += ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch, ExitStack() as stack:
        repositories = write_repositories(Path(scratch), list(commands), {"identity_py_batching"})
        servers, _ = start_servers(stack, commands, repositories, Path(scratch), 1, placement)
        with placement.starting_client():
            for protocol in ("http", "grpc"):
                for server in servers.values():
                    lines.append(_line(server, protocol, options.rounds * _CUTS))
                    print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
