"""Memory after a model was loaded and unloaded many times, beside what it was when that began."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import place
import psutil

import naiad

_WARM_UP = 20
"""Cycles before memory is looked at: what libraries take once stays."""

_MODEL = """
import torch


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1024, 1024)

    def forward(self, x):
        return self.linear(x)
"""


def write_model(root: Path, isolation: str, device: str) -> None:
    version = root / "small" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL)
    (root / "small" / "config.pbtxt").write_text(
        'name: "small" backend: "pytorch" max_batch_size: 8\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ 1024 ] }\n'
        'output { name: "y" data_type: TYPE_FP32 dims: [ 1024 ] }\n'
        + place.group_of(device, 1)
        + place.parameter("isolation", isolation)
    )


def memory() -> dict[str, int | None]:
    return {"gpu": place.gpu_used_bytes(), "host": psutil.Process().memory_info().rss}


def run(isolation: str, count: int, options: argparse.Namespace) -> dict[str, Any]:
    given = np.random.default_rng().random((8, 1024), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), isolation, options.device)
        with naiad.Server(folder, control_mode="explicit", pool_bytes=1 << 28) as server:

            def cycle() -> None:
                server.load("small")
                server.model("small").infer({"x": given})
                server.unload("small")

            for _ in range(min(_WARM_UP, count)):
                cycle()
            before, begin = memory(), time.perf_counter()
            done = 0
            while done < count and time.perf_counter() - begin < options.seconds:
                cycle()
                done += 1
            after, took = memory(), time.perf_counter() - begin
    grown = {
        f"{kind}_grown_mib": None
        if after[kind] is None
        else ((after[kind] or 0) - (before[kind] or 0)) / 2**20
        for kind in before
    }
    return {"isolation": isolation, "cycles": done, "ms_per_cycle": took / max(1, done) * 1e3, **grown}


def main() -> None:
    parser = place.parser(__doc__ or "")
    parser.set_defaults(seconds=60.0)
    parser.add_argument("--cycles", type=int, default=1000, help="within the server's process")
    parser.add_argument("--worker-cycles", type=int, default=5, help="in worker processes")
    options = parser.parse_args()
    place.check(options)
    results = [run("thread", options.cycles, options)]
    print(results[-1], flush=True)
    if options.worker_cycles:
        results.append(run("process", options.worker_cycles, options))
    place.say(results)


if __name__ == "__main__":
    main()
