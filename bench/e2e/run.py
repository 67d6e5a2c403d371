"""`make bench`: naiad beside a real Triton, in turns, in one run, with the same models and the same client.

See bench/README.md for what is measured and how to read it. Exit status 0 when every turn was good, 1 when
one was not (it is named, and its cells stay empty), 2 for a command line that can't be run.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sidebyside import h2load, perf_analyzer
from sidebyside.case import NAIAD_ONLY_MODELS, Case, select_cases
from sidebyside.measure import Sample, Turn, run_perf_analyzer
from sidebyside.model_repository import build_triton_identity, write_repository
from sidebyside.placement import Placement, choose_placement
from sidebyside.report import (
    NAIAD,
    TRITON,
    Row,
    Run,
    ServerFigures,
    render_json,
    render_markdown,
    without_paths,
)
from sidebyside.request_body import WrongAnswerError
from sidebyside.server_process import ServerError, ServerProcess

_NAIAD_COMMAND = (
    "python -m naiad serve --model-repository={repo} --http-port={http} --grpc-port={grpc} "
    "--metrics-port={metrics}"
)
_NO_ONNXRUNTIME = "is not measured: it has no onnxruntime backend here"
_UNSTABLE = "gave perf_analyzer no stable figure"
_FAILED = "failed: "
_IDLE_S = 2.0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line; a number that can't be measured with is refused."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one round of half a second per turn")
    parser.add_argument("--seconds", type=float, help="length of a turn (default 1.5, quick 0.5)")
    parser.add_argument("--rounds", type=int, help="turns of each server per case (default 3, quick 1)")
    parser.add_argument(
        "--cases", default="", help="only cases with one of these parts (a,b,c) in their name"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    parser.add_argument("--naiad-command", default=os.environ.get("NAIAD_BENCH_NAIAD", _NAIAD_COMMAND))
    parser.add_argument(
        "--triton-command",
        default=os.environ.get("NAIAD_BENCH_TRITON", ""),
        help="with {repo} {http} {grpc} {metrics} in it (default: NAIAD_BENCH_TRITON)",
    )
    parser.add_argument(
        "--perf-analyzer",
        default=os.environ.get("NAIAD_BENCH_PERF_ANALYZER", ""),
        help="perf_analyzer, a second client for a few cases (default: NAIAD_BENCH_PERF_ANALYZER)",
    )
    parser.add_argument(
        "--placement",
        choices=("pinned", "free"),
        default="pinned",
        help="pinned: the client has a CPU of its own (steady CPU figures); free: the kernel's choice",
    )
    parser.add_argument("--out", type=Path, help="write the table to FILE and all figures to FILE with .json")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (0.5 if options.quick else 1.5)
    options.rounds = options.rounds or (1 if options.quick else 3)
    if options.seconds <= 0 or options.rounds < 1:
        parser.error("--seconds and --rounds must be above zero")
    return options


def common_facts() -> dict[str, str]:
    """When and on what a bench is run, and by which command line; no paths and no machine's name."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    if git("status", "--porcelain"):
        commit += " with uncommitted changes"
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.split(":")[1].strip() for line in processors if "model name" in line]
    script = f"bench/e2e/{Path(sys.argv[0]).name}"
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "command line": f"`{without_paths(shlex.join(['python', script, *sys.argv[1:]]))}`",
        "CPUs": f"{len(os.sched_getaffinity(0))} ({cpu[0] if cpu else platform.machine()})",
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
    }


def facts(options: argparse.Namespace, placement: Placement) -> dict[str, str]:
    """Those of all benches, and the servers and clients of this one."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "tritonclient"))
    return common_facts() | {
        "naiad command": f"`{without_paths(options.naiad_command)}`",
        "Triton command": f"`{without_paths(options.triton_command)}`" if options.triton_command else "none",
        "placement": str(placement),
        "versions": ", ".join(
            [
                f"Linux {platform.release().split('-')[0]}",
                f"Python {platform.python_version()}",
                packages,
                h2load.version(),
            ]
        ),
        "rounds": f"{options.rounds} of {options.seconds:g} s per case and server, in turns",
    }


def commands_of(options: argparse.Namespace) -> dict[str, str]:
    """The servers that are measured, by their labels: Triton where it was given."""
    triton = {TRITON: options.triton_command} if options.triton_command else {}
    return {NAIAD: options.naiad_command} | triton


def publish(lines: list[str], out: Path | None) -> None:
    """Print a page, and write it to `out` where that is wanted."""
    text = "\n".join(lines) + "\n"
    print(text)
    if out:
        out.write_text(text)


def write_repositories(scratch: Path, labels: list[str], models: set[str]) -> dict[str, Path]:
    """A repository per server under `scratch`."""
    repositories = {}
    for label in labels:
        library = None
        wanted = models
        if label == TRITON:
            wanted = models - set(NAIAD_ONLY_MODELS)
            if wanted & {"identity_native", "identity_batching"}:
                library = build_triton_identity(scratch)
        repositories[label] = scratch / label / "models"
        repositories[label].mkdir(parents=True)
        write_repository(repositories[label], wanted, library)
    return repositories


def start_servers(
    stack: ExitStack,
    commands: dict[str, str],
    repositories: dict[str, Path],
    scratch: Path,
    rounds: int,
    placement: Placement,
) -> tuple[dict[str, ServerProcess], dict[str, ServerFigures]]:
    """Start the servers `rounds` times in turns for their start-up times; the last ones stay and are idle."""
    start_s: dict[str, list[float]] = {label: [] for label in commands}

    def start(label: str) -> ServerProcess:
        with placement.starting_server():
            server = ServerProcess(label, commands[label], repositories[label], scratch / f"{label}.log")
        start_s[label].append(server.start_s)
        return server

    for _ in range(rounds - 1):
        for label in commands:
            start(label).stop()
    servers = {label: stack.enter_context(start(label)) for label in commands}
    used = {label: server.cpu_seconds() for label, server in servers.items()}
    time.sleep(_IDLE_S)
    figures = {}
    for label, server in servers.items():
        idle_cpu = (server.cpu_seconds() - used[label]) / _IDLE_S * 100
        told, memory = server.get_json("/v2"), server.memory()
        version = f"{told['name']} {told['version']}"
        figures[label] = ServerFigures(
            version, start_s[label], memory.rss_bytes / 1e6, memory.pss_bytes / 1e6, idle_cpu
        )
    return servers, figures


def _failure(case: Case, error: Exception) -> str:
    """One line that may be published."""
    return without_paths(f"{_FAILED}{case.name}: {' '.join(str(error).split())}")


def measure_case(servers: dict[str, ServerProcess], case: Case, seconds: float, rounds: int) -> Row:
    """All rounds of one case with h2load, A B A B. A server that fails is left out, with the reason."""
    left_out: dict[str, str] = {}
    turns: dict[str, Turn] = {}
    samples: dict[str, list[Sample]] = {}
    for label, server in servers.items():
        if label == TRITON and case.model in NAIAD_ONLY_MODELS:
            left_out[label] = _NO_ONNXRUNTIME
            continue
        try:
            turns[label] = Turn(server, case, seconds)
            samples[label] = []
        except (WrongAnswerError, h2load.ClientError, ServerError, OSError) as error:
            left_out[label] = _failure(case, error)
    for _ in range(rounds):
        for label in [each for each in turns if each not in left_out]:
            try:
                samples[label].append(turns[label].run())
            except (h2load.ClientError, ServerError, OSError) as error:
                left_out[label] = _failure(case, error)
                del samples[label]
    return Row("h2load", case, samples, left_out)


def measure_with_perf_analyzer(
    servers: dict[str, ServerProcess], case: Case, program: Path, seconds: float
) -> Row:
    """One round of one case with perf_analyzer on each server."""
    samples: dict[str, list[Sample]] = {}
    left_out: dict[str, str] = {}
    for label, server in servers.items():
        try:
            samples[label] = [run_perf_analyzer(server, case, program, seconds)]
        except perf_analyzer.UnstableError:
            left_out[label] = _UNSTABLE
        except (h2load.ClientError, ServerError, OSError) as error:
            left_out[label] = _failure(case, error)
    return Row("perf_analyzer", case, samples, left_out)


def bench(options: argparse.Namespace, cases: list[Case], scratch: Path) -> Run:
    """The whole run. Blocks for about twice rounds x seconds per case.

    Raises ServerError when a server does not start.
    """
    commands = commands_of(options)
    if TRITON not in commands:
        print("No Triton was given (see --triton-command): naiad runs alone.", file=sys.stderr)
    placement = choose_placement(frozenset(os.sched_getaffinity(0)), options.placement == "pinned")
    told = facts(options, placement)
    repositories = write_repositories(scratch, list(commands), {case.model for case in cases})
    rows = []
    with ExitStack() as stack:
        servers, figures = start_servers(stack, commands, repositories, scratch, options.rounds, placement)
        stack.enter_context(placement.starting_client())
        for index, case in enumerate(cases):
            print(f"{index + 1}/{len(cases)} {case.name}", file=sys.stderr, flush=True)
            rows.append(measure_case(servers, case, options.seconds, options.rounds))
        second = [case for case in perf_analyzer.CASES if case in cases] if options.perf_analyzer else []
        for case in second:
            print(f"perf_analyzer {case.name}", file=sys.stderr, flush=True)
            program = Path(options.perf_analyzer)
            rows.append(measure_with_perf_analyzer(servers, case, program, options.seconds))
    return Run(told, figures, rows)


def main(arguments: list[str]) -> int:
    """Run the bench and print its table. Returns the exit status."""
    options = parse_arguments(arguments)
    try:
        cases = select_cases(options.cases)
        if options.list:
            print("\n".join(case.name for case in cases))
            return 0
        with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
            run = bench(options, cases, Path(scratch))
    except (ValueError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    table = render_markdown(run)
    print(table)
    if options.out:
        options.out.write_text(table)
        options.out.with_suffix(".json").write_text(render_json(run))
    failed = [why for row in run.rows for why in row.left_out.values() if why.startswith(_FAILED)]
    for why in failed:
        print(f"bench: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
