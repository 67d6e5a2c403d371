"""One turn of one case on one server."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

from sidebyside import h2load, perf_analyzer
from sidebyside.case import EDGE, Case
from sidebyside.request_body import PreparedRequest, prepare
from sidebyside.server_process import ServerProcess

_MIN_REQUESTS = 64
_MAX_REQUESTS = 400_000
_LOAD_TIMEOUT_S = 120.0
# The part of a turn that a warm-up lasts.
_WARM_UP = 0.25
_MAX_WARM_UPS = 4
_SETTLE_S = 1.0
_SETTLE_STEP_S = 0.02


@dataclass(frozen=True)
class Sample:
    """What one turn showed. CPU in microseconds per answered request, latencies in ms, memory in MB."""

    num_requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_us: float
    client_cpu_us: float
    rss_mb: float
    pss_mb: float


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _num_requests(requests_per_s: float, seconds: float, concurrency: int) -> int:
    return min(_MAX_REQUESTS, max(_MIN_REQUESTS, 4 * concurrency, round(requests_per_s * seconds)))


class Turn:
    """A case prepared on one server: verified, warmed up, its number of requests chosen. Not thread-safe."""

    def __init__(self, server: ServerProcess, case: Case, seconds: float) -> None:
        """Verify one answer and warm up, so that a turn takes about `seconds`. Blocks until warm.

        Raises WrongAnswerError or ClientError when the server does not answer as the model should.
        """
        self._server = server
        self._case = case
        # The request that is verified by hand is one more.
        self._expected_count = 0 if case.model == EDGE else self._success_count() + 1
        self._request: PreparedRequest = prepare(case, server.http_port, server.grpc_port)
        self._confirm()
        # A first short load mostly connects; each further one knows better how fast the server is.
        warm = self._load(_num_requests(0, 0, case.concurrency))
        for _ in range(_MAX_WARM_UPS):
            if warm.wall_s > seconds * _WARM_UP / 2:
                break
            warm = self._load(_num_requests(warm.requests_per_s, seconds * _WARM_UP, case.concurrency))
        self._count = _num_requests(warm.requests_per_s, seconds, case.concurrency)

    def _load(self, num_requests: int) -> h2load.LoadResult:
        """One load that the server itself confirms: its success count must grow by just that many."""
        result = h2load.run_load(self._request, num_requests, self._case.concurrency, _LOAD_TIMEOUT_S)
        self._expected_count += num_requests
        self._confirm()
        return result

    def _success_count(self) -> int:
        return self._server.success_count(self._case.model)

    def _confirm(self) -> None:
        """Wait until the server counts what was answered: it may answer first and count just after."""
        if self._case.model == EDGE:
            return
        deadline = time.monotonic() + _SETTLE_S
        while (counted := self._success_count()) != self._expected_count:
            if time.monotonic() > deadline:
                raise h2load.ClientError(
                    f"{self._server.label} counts {counted} successes, {self._expected_count} were answered"
                )
            time.sleep(_SETTLE_STEP_S)

    def run(self) -> Sample:
        """Run the turn once. Blocks until all its requests are answered; raises as the constructor does."""
        server_before, client_before = self._server.cpu_seconds(), _children_cpu_seconds()
        result = self._load(self._count)
        server_s = self._server.cpu_seconds() - server_before
        client_s = _children_cpu_seconds() - client_before
        memory = self._server.memory()
        return Sample(
            num_requests=self._count,
            requests_per_s=result.requests_per_s,
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
            server_cpu_us=server_s * 1e6 / self._count,
            client_cpu_us=client_s * 1e6 / self._count,
            rss_mb=memory.rss_bytes / 1e6,
            pss_mb=memory.pss_bytes / 1e6,
        )


def run_perf_analyzer(server: ServerProcess, case: Case, program: Path, seconds: float) -> Sample:
    """One turn with perf_analyzer as the client. The server's own count of requests divides its CPU time.

    That count has perf_analyzer's warm-up in it, as the CPU time has. Raises what perf_analyzer.run
    raises.
    """
    answered = server.success_count(case.model)
    server_before, client_before = server.cpu_seconds(), _children_cpu_seconds()
    port = server.http_port if case.protocol == "http" else server.grpc_port
    result = perf_analyzer.run(program, case, port, seconds)
    num_requests = server.success_count(case.model) - answered
    server_s = server.cpu_seconds() - server_before
    client_s = _children_cpu_seconds() - client_before
    memory = server.memory()
    return Sample(
        num_requests=num_requests,
        requests_per_s=result.requests_per_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        server_cpu_us=server_s * 1e6 / num_requests,
        client_cpu_us=client_s * 1e6 / num_requests,
        rss_mb=memory.rss_bytes / 1e6,
        pss_mb=memory.pss_bytes / 1e6,
    )
