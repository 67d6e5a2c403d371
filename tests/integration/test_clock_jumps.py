"""The system's clock is set while a server is at work: whatever waits, or is timed, takes no notice.

A small library stands between the processes of the server and the wall clock; the steady clock stays.
"""

from __future__ import annotations

import datetime
import mmap
import os
import shutil
import signal
import ssl
import struct
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from .certificates import Authority
from .conftest import GATED, GATED_MODEL, IDENTITY, ServerProcess, Start, infer_request, until, write_model
from .ledger.models import write_ledger_models
from .ledger.traffic import Traffic
from .test_cuts import reading
from .test_shutdown import gated_request, gated_value, http_infer, wait_until_stopping
from .test_tls import flags

HOUR_S, YEAR_S = 3600, 365 * 24 * 3600
JUMPS_S = (HOUR_S, -HOUR_S, YEAR_S, -YEAR_S, 0)

SLOW_BATCHES = IDENTITY.replace(
    "dynamic_batching { }",
    "dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 300000 }",
)


class WallClock:
    """Of every process that is started while it is there."""

    def __init__(self, library: Path, folder: Path, environment: pytest.MonkeyPatch) -> None:
        file = folder / "clock"
        file.write_bytes(bytes(8))
        self._shift = mmap.mmap(os.open(file, os.O_RDWR | os.O_CLOEXEC), 8)
        environment.setenv("LD_PRELOAD", str(library))
        environment.setenv("NAIAD_TEST_CLOCK", str(file))

    def jump(self, seconds: int) -> None:
        """So many seconds away from the true time."""
        self._shift[:] = struct.pack("q", seconds)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What shifts the clock."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) to make the clock with")
    made = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", made, source], check=True)
    return made


@pytest.fixture
def clock(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(library, tmp_path, monkeypatch)


def year_of(seconds: int) -> str:
    """Which one it is for a server whose clock is so many seconds away."""
    return str((datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).year)


def waiting(server: ServerProcess, model: str) -> int:
    return reading(server, f'nv_inference_pending_request_count{{model="{model}",version="1"}}')


def ask_gated(server: ServerProcess, timeout_us: int) -> tuple[int, Any]:
    inputs = [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [7]}]
    return server.json(
        "POST", "/v2/models/gated/infer", {"inputs": inputs, "parameters": {"timeout": timeout_us}}
    )


def ask_gated_by_grpc(server: ServerProcess) -> int:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return gated_value(stub(gated_request(8).SerializeToString(), timeout=3600))


def test_traffic_takes_no_notice(start_server: Start, tmp_path: Path, clock: WallClock) -> None:
    """Deadlines, streams, workers: each request ends as it would have."""
    write_ledger_models(tmp_path / "models")
    server = start_server(
        tmp_path / "models",
        "--log-access=true",
        "--log-format=ISO8601",
        "--metrics-config=summary_latencies=true",
    )
    with Traffic(server.http, server.grpc, seed=20261128, clients=6) as traffic:
        for jump_s in JUMPS_S:
            clock.jump(jump_s)
            line = len(server.lines)
            traffic.until(traffic.ledger.size + 150)
            # It is really another time there: the log has the year.
            until(lambda: any(year_of(jump_s) in each for each in server.lines[line:]))  # noqa: B023 - at once
    traffic.ledger.check()
    assert len(server.log.splitlines()) == len(server.lines)
    assert server.process.poll() is None


def test_what_waits_is_not_hurried_and_not_forgotten(
    start_server: Start, tmp_path: Path, clock: WallClock
) -> None:
    gate = tmp_path / "gate"
    write_model(tmp_path / "models", "gated", GATED.replace("@GATE@", str(gate)), GATED_MODEL)
    write_model(tmp_path / "models", "batches", SLOW_BATCHES)
    server = start_server(tmp_path / "models")
    with ThreadPoolExecutor(8) as pool:
        held = pool.submit(http_infer, server, 1)
        until(Path(f"{gate}.entered").exists)
        # An hour's time: still waiting a year later.
        patient: list[Future[Any]] = [
            pool.submit(ask_gated, server, HOUR_S * 10**6),
            pool.submit(ask_gated_by_grpc, server),
        ]
        until(lambda: waiting(server, "gated") == 2)
        for jump_s in JUMPS_S:
            clock.jump(jump_s)
            # The time of this one ends, however far the clock was put back, and so does the wait for company.
            assert ask_gated(server, 50_000)[0] == 503
            assert server.json("POST", "/v2/models/batches/infer", infer_request(1.0))[0] == 200
            assert not any(future.done() for future in patient)
            assert waiting(server, "gated") == 2
        clock.jump(YEAR_S)
        server.signal(signal.SIGTERM)
        wait_until_stopping(server)
        clock.jump(-YEAR_S)
        assert server.call("GET", "/v2/health/live")[0] == 200
        gate.touch()
        assert held.result() == 1
        assert patient[0].result()[0] == 200
        assert patient[1].result() == 8
    assert server.wait() == 0


def test_certificates_count_by_the_clock_of_the_moment(
    start_server: Start, tmp_path: Path, authority: Authority, clock: WallClock
) -> None:
    """Those of clients run out when the clock says so, and no longer than it does."""
    write_model(tmp_path / "models", "identity", IDENTITY)
    own = authority.issue("jumping")
    shown = authority.trusting(authority.issue("client-of-today"))
    server = start_server(tmp_path / "models", *flags(own, authority.certificate))
    url = f"https://{server.http}/v2/health/ready"

    def is_let_in() -> bool:
        try:
            with urllib.request.urlopen(url, context=shown, timeout=30) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ssl.SSLError, ConnectionError):
            return False

    assert is_let_in()
    for jump_s, expected in ((YEAR_S, False), (HOUR_S, True), (-YEAR_S, False), (0, True)):
        clock.jump(jump_s)
        assert is_let_in() is expected, jump_s
