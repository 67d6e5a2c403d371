"""h2load as the client: a prepared request sent a given number of times, over HTTP/1.1 or as gRPC.

It costs a small part of what the servers cost, so that they and not the client are measured. It is run by
number of requests and never by time: one that ends by time leaves calls in flight, which Triton was once seen
to abort on.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sidebyside.request_body import PreparedRequest

_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s),")
_STATUS_2XX = re.compile(r"status codes: (\d+) 2xx")
_DATA = re.compile(r"traffic: .* headers \(.*\), \S+ \((\d+)\) data")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class ClientError(Exception):
    """The client failed, or what it was answered is not what the verified request is answered."""


@dataclass(frozen=True)
class Summary:
    """What h2load prints: wall seconds, answers with a 2xx status, bytes of all response bodies together."""

    wall_s: float
    num_2xx: int
    data_bytes: int


@dataclass(frozen=True)
class LoadResult:
    """One finished load, every answer accounted for. Latencies in milliseconds."""

    num_requests: int
    wall_s: float
    p50_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        """Answers per second of the whole load, connecting included."""
        return self.num_requests / self.wall_s


def parse_summary(text: str) -> Summary:
    """Parse what h2load prints at its end. Raises ClientError when a needed line is not there."""
    finished, status, data = _FINISHED.search(text), _STATUS_2XX.search(text), _DATA.search(text)
    if finished is None or status is None or data is None:
        raise ClientError(f"h2load printed no result: {text.strip()[-400:]}")
    return Summary(float(finished[1]) * _SECONDS[finished[2]], int(status[1]), int(data[1]))


def parse_log(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Parse h2load's --log-file: (status, latency in microseconds) of each request, both of shape (n,).

    A line is "start time, HTTP status (-1 for a failed stream), microseconds", with tabs between.
    """
    if not text.strip():
        empty = np.zeros(0, np.int64)
        return empty, empty
    rows = np.array([line.split("\t") for line in text.splitlines()], dtype=np.int64)
    return rows[:, 1], rows[:, 2]


def percentile_ms(latencies_us: npt.NDArray[np.int64], percent: float) -> float:
    """The nearest-rank percentile in milliseconds: a latency that was really seen, never one between two."""
    return float(np.percentile(latencies_us, percent, method="inverted_cdf")) / 1000.0


def command(
    request: PreparedRequest, num_requests: int, concurrency: int, body: Path | None, log: Path
) -> list[str]:
    """The h2load command line: one thread, one connection per call in flight."""
    line = ["h2load", "-t", "1", "-m", "1", "-n", str(num_requests), "-c", str(concurrency)]
    line.append(f"--log-file={log}")
    if request.protocol == "http":
        line.append("--h1")
    if body is not None:
        line += ["-d", str(body)]
    for name, value in request.headers.items():
        line += ["-H", f"{name}: {value}"]
    return [*line, request.url]


def check(summary: Summary, statuses: npt.NDArray[np.int64], num_requests: int, answer_bytes: int) -> None:
    """Raise ClientError unless every request had a 2xx status and a body of the verified length.

    A gRPC error has status 200 too, but no message, so that the bytes tell. A wrong answer of the right
    length does not show here: the server's own success count is read beside this.
    """
    num_good = int(np.count_nonzero(statuses // 100 == 2))
    if not (len(statuses) == num_good == summary.num_2xx == num_requests):
        raise ClientError(f"{num_requests} requests: {len(statuses)} ended, {num_good} with a 2xx status")
    if summary.data_bytes != num_requests * answer_bytes:
        raise ClientError(
            f"{num_requests} answers have {summary.data_bytes} bytes of body, expected {answer_bytes} each"
        )


def run_load(request: PreparedRequest, num_requests: int, concurrency: int, timeout_s: float) -> LoadResult:
    """Send `request` `num_requests` times with `concurrency` calls in flight. Blocks until all are answered.

    Raises ClientError when h2load fails, takes longer than `timeout_s`, or one answer is not as verified.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log, body = Path(scratch, "log"), None
        if request.body is not None:
            body = Path(scratch, "body")
            body.write_bytes(request.body)
        line = command(request, num_requests, concurrency, body, log)
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ClientError(f"{num_requests} requests took more than {timeout_s:.0f} s") from error
        summary = parse_summary(done.stdout + done.stderr)
        statuses, latencies_us = parse_log(log.read_text())
    check(summary, statuses, num_requests, request.answer_bytes)
    p50_ms, p99_ms = percentile_ms(latencies_us, 50), percentile_ms(latencies_us, 99)
    return LoadResult(num_requests, summary.wall_s, p50_ms, p99_ms)


def version() -> str:
    """h2load's own version line."""
    return subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True).stdout.strip()
