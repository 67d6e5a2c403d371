"""What the way through Ray Serve costs: the same model on a server, and on one replica behind a proxy.

python bench/e2e/ray_hop.py [--turns 3] [--only TEXT] [--out bench/results/NAME.md]

Starts `naiad serve` and a Ray cluster of one node on free ports, with an identity model in C++ that costs one
copy; `naiad bench` asks both in turns. CPU is that of the server, and of proxy and replica: those that a
request goes through, less what they take when nobody asks. Needs the `ray` extra.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

NAIAD = [sys.executable, "-m", "naiad"]
CONFIG = """
backend: "identity"
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
_IDLE_S = 10.0
CASES = [(p, n, c) for n in (16, 150_000) for p in ("http", "grpc") for c in (1, 8)]


@dataclass
class Side:
    """Who is asked."""

    http: str
    grpc: str
    processes: Callable[[], list[psutil.Process]]
    """Those that its requests go through."""

    idle: float = 0.0
    """CPU that they take when nobody asks, in processors."""

    def url(self, protocol: str) -> str:
        return self.http if protocol == "http" else self.grpc

    def cpu_s(self) -> float:
        used = 0.0
        for process in self.processes():
            times = process.cpu_times()
            used += times.user + times.system
        return used

    def requests(self) -> int:
        with urllib.request.urlopen(f"http://{self.http}/v2/models/identity/stats") as answer:
            return int(json.load(answer)["model_stats"][0]["inference_count"])


@dataclass(frozen=True)
class Sample:
    """One turn."""

    p50_us: float
    p99_us: float
    per_second: float
    cpu_us: float
    """For each request."""


def measure(side: Side, protocol: str, floats: int, concurrency: int) -> Sample:
    cpu_s, requests, start_s = side.cpu_s(), side.requests(), time.monotonic()
    done = subprocess.run(
        [
            *NAIAD, "bench", "identity", "-i", protocol, "-u", side.url(protocol), "--json",
            f"--concurrency-range={concurrency}", f"--shape=INPUT0:{floats}", "--measurement-interval=700",
            "--max-trials=3",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    level = json.loads(done.stdout)["levels"][0]
    num_requests = side.requests() - requests
    return Sample(
        level["latency_p50_us"],
        level["latency_p99_us"],
        level["requests_per_second"],
        1e6 * (side.cpu_s() - cpu_s - side.idle * (time.monotonic() - start_s)) / num_requests,
    )


def idle(side: Side) -> float:
    cpu_s = side.cpu_s()
    time.sleep(_IDLE_S)
    return (side.cpu_s() - cpu_s) / _IDLE_S


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def start_server(repository: Path, stack: ExitStack) -> Side:
    http, grpc = free_port(), free_port()
    process = stack.enter_context(
        subprocess.Popen(
            [*NAIAD, "serve", f"--model-repository={repository}", f"--http-port={http}",
             f"--grpc-port={grpc}", "--allow-metrics=false", "--log-info=false"],
            stderr=subprocess.PIPE,
        )
    )  # fmt: skip
    stack.callback(process.terminate)
    _until_ready(http)
    return Side(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", lambda: [psutil.Process(process.pid)])


def start_ray(repository: Path, stack: ExitStack) -> Side:
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 4, "include_dashboard": False, "object_store_memory": 80 << 20},
    )
    stack.callback(cluster.shutdown)
    http, grpc = free_port(), free_port()
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--cluster={cluster.address}"]
    subprocess.run([*NAIAD, "ray", "deploy", str(repository), *ports], check=True)
    on_the_way = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(
            word.startswith(("ray::ProxyActor", "ray::ServeReplica", "ray::SERVE_REPLICA"))
            for word in process.cmdline()[:1]
        )
    ]
    assert len(on_the_way) == 2, [process.cmdline() for process in on_the_way]
    return Side(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", lambda: on_the_way)


def _until_ready(port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready"):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def table(rows: Sequence[tuple[str, list[list[Sample]]]]) -> str:
    lines = [
        "| server / Ray | p50 us | p99 us | infer/s | CPU us |",
        "|---|---|---|---|---|",
    ]
    for name, sides in rows:
        cells = [name]
        for figure in ("p50_us", "p99_us", "per_second", "cpu_us"):
            medians = [statistics.median(getattr(one, figure) for one in side) for side in sides]
            cells.append(" / ".join(f"{median:,.0f}" for median in medians))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", default="", help='Cases with this in their name: "http, 64 B".')
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows: list[tuple[str, list[list[Sample]]]] = []
    with ExitStack() as stack:
        repository = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (repository / "identity" / "1").mkdir(parents=True)
        (repository / "identity" / "config.pbtxt").write_text(CONFIG)
        sides = [start_server(repository, stack), start_ray(repository, stack)]
        for side in sides:
            side.idle = idle(side)
        for protocol, floats, concurrency in CASES:
            name = f"{protocol}, {_bytes(4 * floats)}, {concurrency} in flight"
            if asked.only not in name:
                continue
            found: list[list[Sample]] = [[], []]
            for turn in range(asked.turns):
                for number in (0, 1) if turn % 2 == 0 else (1, 0):
                    found[number].append(measure(sides[number], protocol, floats, concurrency))
            rows.append((name, found))
            print(name, [[round(one.p50_us) for one in side] for side in found], file=sys.stderr)
    idles = ", ".join(f"{side.idle:.3f}" for side in sides)
    text = f"{_facts()}; idle, in processors: {idles}\n\n{table(rows)}\n"
    print(text)
    if asked.out:
        asked.out.write_text(text)


def _bytes(count: int) -> str:
    return f"{count // 1000} KB" if count > 1000 else f"{count} B"


def _facts() -> str:
    import ray

    facts: dict[str, Any] = {"Ray": ray.__version__, "processors": psutil.cpu_count()}
    facts["load average"] = f"{psutil.getloadavg()[0]:.1f}"
    return "medians of turns; " + ", ".join(f"{name} {value}" for name, value in facts.items())


if __name__ == "__main__":
    main()
