"""Where a bench of this folder runs: on a GPU, or, to try the bench itself, on the CPU."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

NETWORK = Path(__file__).with_name("network.py")


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benches here have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    made.add_argument("--seconds", type=float, default=5.0, help="of one measured span")
    return made


def check(options: argparse.Namespace) -> None:
    """Ends the program where the device is not there."""
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} sees no GPU; --device cpu tries the bench without one")


def synchronize(device: str) -> None:
    """Waits for all that was queued."""
    if device == "cuda":
        torch.cuda.synchronize()


def group_of(device: str, count: int) -> str:
    """The instance group of a configuration."""
    kind = "kind: KIND_GPU gpus: [ 0 ]" if device == "cuda" else "kind: KIND_CPU"
    return f"instance_group {{ {kind} count: {count} }}\n"


def parameter(name: str, value: str) -> str:
    """One of a configuration's parameters."""
    return f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n'


def gpu_used_bytes() -> int | None:
    """Of GPU 0, by whomever; None where NVML does not tell."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used)
    except pynvml.NVMLError:
        return None


class Utilization:
    """What NVML says how busy GPU 0 was, while it is entered: the mean of its samples, None without any."""

    def __init__(self, every_s: float = 0.1) -> None:
        self.mean: float | None = None
        self._every_s = every_s
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Utilization:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.mean = sum(self._samples) / len(self._samples) if self._samples else None

    def _read(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
            device = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._ended.wait(self._every_s):
                self._samples.append(pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        except pynvml.NVMLError:
            return


def say(results: list[dict[str, Any]]) -> None:
    """The last line of the output: what tools/gpu/run.py reads."""
    print(json.dumps({"results": results, "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}))
