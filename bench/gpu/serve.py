"""A network of ResNet-50's shape through the whole server in process, beside the same network in a bare loop.

Every row of the table is one way to serve it. "Busy" is the part of the time that the GPU computes: batches
times what a batch of that size takes in the bare loop without copies, over the time that passed; NVML's own
word on it stands beside. "Overhead" is what a batch takes more than in the bare loop with its copies.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_network
import place
import torch
from network import Network

import naiad

_TOLERANCE = 0.05
"""BF16 has 8 bits, and the network 53 layers."""


@dataclass(frozen=True)
class Way:
    """How the network is served."""

    label: str
    isolation: str
    count: int
    rows: int
    """Of each request; 0: of a whole batch."""
    more: str = ""
    backend: str = "pytorch"


def ways(batch: int, device: str) -> list[Way]:
    graphs = f"optimization {{ cuda {{ graphs: true graph_spec {{ batch_size: {batch} }} }} }}\n"
    shared = place.parameter("ENABLE_WEIGHT_SHARING", "true")
    found = [
        Way("thread, 1 instance", "thread", 1, 0),
        Way("thread, 2 instances", "thread", 2, 0, shared),
        Way("thread, 2 instances, requests of 1", "thread", 2, 1, shared),
        Way("process, 1 instance", "process", 1, 0),
        Way("process, 2 instances", "process", 2, 0),
    ]
    if device == "cuda":
        found.insert(2, Way("thread, 2 instances, CUDA graphs", "thread", 2, 0, shared + graphs))
    return found


def onnx_ways() -> list[Way]:
    return [
        Way(f"onnxruntime, thread, {label}", "thread", count, rows, backend="onnxruntime")
        for label, count, rows in (
            ("1 instance", 1, 0),
            ("2 instances", 2, 0),
            ("2 instances, requests of 1", 2, 1),
        )
    ]


def write_model(root: Path, way: Way, options: argparse.Namespace) -> str:
    name = "network"
    version = root / name / "1"
    version.mkdir(parents=True)
    if way.backend == "pytorch":
        shutil.copy(place.NETWORK, version / "model.py")
        more = (
            place.parameter("isolation", way.isolation)
            + place.parameter("READ_ONLY_INPUTS", "yes")
            + place.parameter("MODEL_CLASS", "Network")
        )
    else:
        shutil.copy(options.onnx, version / "model.onnx")
        more = ""
    side = options.side
    (root / name / "config.pbtxt").write_text(
        f'name: "{name}" backend: "{way.backend}" max_batch_size: {options.batch}\n'
        f'input {{ name: "x" data_type: TYPE_FP32 dims: [ 3, {side}, {side} ] }}\n'
        'output { name: "y" data_type: TYPE_FP32 dims: [ 1000 ] }\n'
        "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
        + place.group_of(options.device, way.count)
        + more
        + way.more
    )
    return name


def bare(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a batch: computed alone, and with its copies, each waited for."""
    device = torch.device(options.device)
    network = Network().to(device).eval()
    host = torch.rand(options.batch, 3, options.side, options.side)
    if options.device == "cuda":
        host = host.pin_memory()
    with torch.inference_mode():
        on_device = host.to(device)

        def compute() -> None:
            network(on_device)

        def with_copies() -> None:
            network(host.to(device, non_blocking=True)).cpu()

        # What is queued without waiting is computed back to back.
        return {
            "compute_ms": _time(compute, options, waits=False),
            "with_copies_ms": _time(with_copies, options, waits=True),
        }


def bare_onnx(options: argparse.Namespace) -> dict[str, float]:
    """The same of ONNX Runtime, each run of which waits for itself."""
    compute, with_copies = onnx_network.calls(options.onnx, options)
    return {
        "compute_ms": _time(compute, options, waits=True),
        "with_copies_ms": _time(with_copies, options, waits=True),
    }


def _time(call: Any, options: argparse.Namespace, *, waits: bool) -> float:
    for _ in range(3):
        call()
    place.synchronize(options.device)
    count = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < options.seconds:
        for _ in range(1 if waits else 8):
            call()
            count += 1
        place.synchronize(options.device)
    return (time.perf_counter() - begin) / count * 1e3


class Load:
    """Keeps so many requests in flight until it is left."""

    def __init__(self, model: Any, inputs: list[np.ndarray[Any, Any]], in_flight: int) -> None:
        self._model = model
        self._inputs = inputs
        self._left = in_flight
        self._stopping = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        for index in range(in_flight):
            self._submit(index)

    def _submit(self, index: int) -> None:
        def done(outcome: Any) -> None:
            if isinstance(outcome, BaseException):
                self.failure = outcome
            if self._stopping or self.failure is not None:
                self._leave()
            else:
                self._submit(index)

        self._model.submit({"x": self._inputs[index % len(self._inputs)]}, done)

    def _leave(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._ended.set()

    def stop(self) -> None:
        self._stopping = True
        if not self._ended.wait(60):
            raise TimeoutError("requests have no answer after 60 s")
        if self.failure is not None:
            raise self.failure


def check_answers(model: Any, options: argparse.Namespace) -> float:
    """The largest difference to the network on the CPU, of fresh random images, as part of the largest score.
    Raises ValueError for one that rounding does not explain.
    """
    images = np.random.default_rng().random((2, 3, options.side, options.side), dtype=np.float32)
    with torch.inference_mode():
        expected = Network().eval()(torch.from_numpy(images)).numpy()
    difference = float(np.abs(model.infer({"x": images})["y"] - expected).max() / np.abs(expected).max())
    if not difference < _TOLERANCE:
        raise ValueError(f"the answers differ by {difference:.1%} from those of the CPU")
    return difference


def serve(way: Way, options: argparse.Namespace, alone: dict[str, float]) -> dict[str, Any]:
    rows = way.rows or options.batch
    in_flight = 4 * way.count * options.batch // rows
    with tempfile.TemporaryDirectory() as folder:
        name = write_model(Path(folder), way, options)
        with naiad.Server(folder, pool_bytes=4 << 30) as server:
            model = server.model(name)
            difference = check_answers(model, options)
            generator = np.random.default_rng()
            inputs = [
                generator.random((rows, 3, options.side, options.side), dtype=np.float32)
                for _ in range(min(in_flight, 16))
            ]
            load = Load(model, inputs, in_flight)
            time.sleep(min(2.0, options.seconds))
            before, begin = model.statistics(), time.perf_counter()
            with place.Utilization() as used:
                time.sleep(options.seconds)
            after, took = model.statistics(), time.perf_counter() - begin
            load.stop()
            pinned = server._core.engine.usage()["pinned"]
    batches = after["execution_count"] - before["execution_count"]
    images = after["inference_count"] - before["inference_count"]
    size = images / batches
    # Batches that are not full cost less.
    busy = batches * alone["compute_ms"] * (size / options.batch) / 1e3 / took
    per_batch_ms = took / batches * 1e3
    return {
        "way": way.label,
        "images_per_s": images / took,
        "mean_batch": size,
        "ms_per_batch": per_batch_ms,
        "overhead_us": (per_batch_ms - alone["with_copies_ms"] * (size / options.batch)) * 1e3,
        "busy": busy,
        "nvml_busy": used.mean,
        "pinned_mib": pinned >> 20,
        "difference": difference,
    }


def serve_all(
    wanted: list[Way], options: argparse.Namespace, alone: dict[str, float]
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for way in wanted:
        try:
            results.append(serve(way, options, alone))
        except Exception as error:
            results.append({"way": way.label, "failed": f"{type(error).__name__}: {error}"})
        print(results[-1], flush=True)
    return results


def main() -> None:
    parser = place.parser(__doc__ or "")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224, help="of an image, in pixels")
    parser.add_argument("--ways", type=int, default=99, help="only so many of them")
    options = parser.parse_args()
    place.check(options)
    alone = bare(options)
    print(f"bare loop, batch {options.batch}: {alone}", flush=True)
    results: list[dict[str, Any]] = [{"way": "bare loop", **alone}]
    results += serve_all(ways(options.batch, options.device)[: options.ways], options, alone)
    absence = onnx_network.absence(options.device)
    if absence:
        results.append({"way": "onnxruntime", "left out": absence})
    else:
        with tempfile.TemporaryDirectory() as folder:
            options.onnx = Path(folder) / "model.onnx"
            onnx_network.export(options.onnx, options.side)
            alone = bare_onnx(options)
            results.append({"way": "onnxruntime, bare loop", **alone})
            results += serve_all(onnx_ways()[: options.ways], options, alone)
    place.say(results)


if __name__ == "__main__":
    main()
