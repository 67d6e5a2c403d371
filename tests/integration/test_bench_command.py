"""naiad bench against a live server."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ServerProcess

QUICK = ("--measurement-interval=100", "--max-trials=3", "--stability-percentage=1000", "--shape=INPUT0:4")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "naiad", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    "load",
    [
        ("--concurrency-range=2", "--processes=2", "-b", "2"),
        ("--request-rate-range=200", "--request-distribution=poisson"),
    ],
    ids=["closed", "open"],
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_throughput_and_latency(
    server: ServerProcess, tmp_path: Path, protocol: str, load: tuple[str, ...]
) -> None:
    url = server.http if protocol == "http" else server.grpc
    path = tmp_path / "figures.csv"
    ran = bench("identity", "-u", url, "-i", protocol, *load, *QUICK, "--json", f"--csv={path}")
    assert ran.returncode == 0, ran.stderr
    (level,) = json.loads(ran.stdout)["levels"]
    assert level["requests_per_second"] > 0 and level["errors"] == 0
    assert 0 < level["latency_p50_us"] <= level["latency_p99_us"]
    assert level["client_cpu_us_per_request"] > 0 and level["mean_batch"] >= 1
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert float(row["requests_per_second"]) == level["requests_per_second"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_requests_larger_than_a_window_of_http2(server: ServerProcess, protocol: str) -> None:
    url = server.http if protocol == "http" else server.grpc
    ran = bench("identity", "-u", url, "-i", protocol, *QUICK[:3], "--shape=INPUT0:50000", "--json",
                "--concurrency-range=3")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["levels"][0]["requests_per_second"] > 0


def test_failures_are_counted_and_told(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"data": [{"INPUT0": {"content": [1, 2], "shape": [2, 1]}}]}')
    for url, protocol, reason in (
        (server.http, "http", "400 Bad Request"),
        (server.grpc, "grpc", "INVALID_ARGUMENT"),
    ):
        ran = bench("identity", "-u", url, "-i", protocol, *QUICK, f"--input-data={path}", "--json")
        assert ran.returncode == 1
        assert json.loads(ran.stdout)["levels"][0]["errors"] > 0
        assert f"requests failed: {reason}" in ran.stderr


def test_a_server_that_is_not_there() -> None:
    ran = bench("m", "-u", "127.0.0.1:1")
    assert ran.returncode == 1 and "no HTTP server answers at 127.0.0.1:1" in ran.stderr
    assert "naiad serve" in ran.stderr


def test_two_servers_in_turns(server: ServerProcess, tmp_path: Path) -> None:
    picture = tmp_path / "load.png"
    other = server.http.replace("127.0.0.1", "localhost")
    ran = bench("identity", "-u", server.http, f"--compare={other}", "--turns=2", *QUICK, "--json",
                f"--picture={picture}")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    tree = json.loads(ran.stdout)
    assert [level["url"] for level in tree["levels"]] == [server.http, other]
    (ratios,) = tree["ratios"]
    for ratio in ratios.values():
        assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"]
    assert picture.read_bytes().startswith(b"\x89PNG")
