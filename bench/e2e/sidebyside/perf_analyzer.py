"""perf_analyzer as the second client, for a few cases: an independent check of what h2load says.

It costs about as much as the servers do, so on few cores its throughput is its own and the server's together.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sidebyside.case import Case
from sidebyside.h2load import ClientError

# Over HTTP at a high concurrency it was seen to go on for minutes and take all memory.
_TIMEOUT_S = 60.0
_MIN_WINDOW_S = 1.0
_UNSTABLE = "Failed to obtain stable measurement"
# Moderate concurrency, small tensors: where its own cost does not hide the server's.
CASES = tuple(
    Case(model, protocol, num_floats=16, concurrency=8)
    for model in ("identity_native", "identity_py")
    for protocol in ("http", "grpc")
)
# Three windows in a row within this of each other are called stable; its default of 10 % is too fine here.
_STABILITY_PERCENT = 30


class UnstableError(Exception):
    """The figures differed too much from window to window: a busy machine, not a failure of the server."""


@dataclass(frozen=True)
class AnalyzerResult:
    """The stable figures that perf_analyzer settled on. Latencies in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


def parse_report(text: str) -> AnalyzerResult:
    """Parse the CSV that perf_analyzer writes with -f: one line of figures, latencies in microseconds.

    Raises ClientError when it holds no line: no stable figure was found.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if len(rows) != 1:
        raise ClientError(f"perf_analyzer reported {len(rows)} results, expected 1")
    row = rows[0]
    return AnalyzerResult(
        float(row["Inferences/Second"]), float(row["p50 latency"]) / 1000, float(row["p99 latency"]) / 1000
    )


def run(program: Path, case: Case, port: int, seconds: float) -> AnalyzerResult:
    """Run perf_analyzer on `case` with windows of `seconds`, one at least. Blocks for a minute at most.

    Raises UnstableError when it finds no stable figure, ClientError when it fails or takes longer.
    """
    window_ms = round(max(seconds, _MIN_WINDOW_S) * 1000)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.csv")
        words = [str(program), "-m", case.model, "-u", f"127.0.0.1:{port}", "-i", case.protocol]
        words += ["--shape", f"INPUT0:{case.num_floats}", "--concurrency-range", str(case.concurrency)]
        words += ["--measurement-interval", str(window_ms), "-s", str(_STABILITY_PERCENT)]
        words += ["-f", str(report)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise ClientError(f"perf_analyzer took more than {_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0 or not report.exists():
            printed = done.stdout + done.stderr
            if _UNSTABLE in printed:
                raise UnstableError
            last_line = printed.strip().rpartition("\n")[2]
            raise ClientError(f"perf_analyzer ended with {done.returncode}: {last_line}")
        return parse_report(report.read_text())
