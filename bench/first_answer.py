"""From nothing to the first answer: a new environment, the wheel and its needs, a model as it is.

    bench/first_answer.py dist/naiad-0.1.0-*.whl --model model.onnx

makes a virtual environment in a temporary folder, installs the wheel there with pip, starts ``naiad serve
MODEL`` on free ports, and asks with curl for an inference. Prints seconds and megabytes. The
request is made of the model's own metadata: ones of its types and shapes.

``--limit SECONDS`` fails when it took longer. ``--find-links DIR`` and the like after ``--`` go to pip.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_STARTED = re.compile(r"Started HTTPService at [^ ]*:(\d+)")


class Clock:
    """Seconds of each step, in order."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self._last = time.monotonic()

    def done(self, step: str) -> None:
        now = time.monotonic()
        self.steps.append((step, now - self._last))
        self._last = now

    @property
    def total(self) -> float:
        return sum(seconds for _, seconds in self.steps)


def curl(url: str, body: Any = None) -> Any:
    """What ``url`` answers as JSON. Raises RuntimeError with the answer where it is an error."""
    command = ["curl", "-sS", "--max-time", "30", "--noproxy", "*", "-w", "\n%{http_code}", url]
    if body is not None:
        command += ["-d", json.dumps(body)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text, _, status = answer.rpartition("\n")
    if status != "200":
        raise RuntimeError(f"{url} answered {status}: {text}")
    return json.loads(text)


def ones(tensor: dict[str, Any]) -> dict[str, Any]:
    """An input that fits the metadata of one; sizes that are free are 1."""
    shape = [max(size, 1) for size in tensor["shape"]]
    value: Any = {"BYTES": "a", "BOOL": True}.get(tensor["datatype"], 1)
    return {**tensor, "shape": shape, "data": [value] * math.prod(shape)}


def first_answer(server: subprocess.Popen[str], model: str, clock: Clock) -> dict[str, Any]:
    """Waits for the port in the log, then asks. Raises RuntimeError where the server ends first."""
    assert server.stderr is not None
    log = []
    for line in server.stderr:
        log.append(line)
        if started := _STARTED.search(line):
            break
    else:
        raise RuntimeError("the server ended:\n" + "".join(log[-20:]))
    clock.done("naiad serve: start to open ports")
    url = f"http://127.0.0.1:{started[1]}/v2/models/{model}"
    answer: dict[str, Any] = curl(f"{url}/infer", {"inputs": [ones(each) for each in curl(url)["inputs"]]})
    clock.done("metadata and the first inference")
    return answer


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if not file.is_symlink()) / 1e6


def largest(packages: Path, count: int) -> list[tuple[str, float]]:
    """The packages that take most, with what they brought beside them (numpy.libs)."""
    sizes: dict[str, float] = {}
    for entry in packages.iterdir():
        name = entry.name.partition(".")[0].partition("-")[0]
        size = megabytes(entry) if entry.is_dir() else entry.stat().st_size / 1e6
        sizes[name] = sizes.get(name, 0.0) + size
    return sorted(sizes.items(), key=lambda each: -each[1])[:count]


def measure(wheel: Path, model: Path, pip: list[str]) -> Clock:
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="naiad-first-") as folder:
        environment = Path(folder) / "venv"
        python = environment / "bin/python"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        clock.done("python -m venv")
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *pip, str(wheel)]
        subprocess.run(install, check=True)
        clock.done("pip install")
        server = subprocess.Popen(
            [
                str(environment / "bin/naiad"),
                *("serve", str(model), "--console=log"),
                *("--http-port=0", "--grpc-port=0", "--metrics-port=0"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            answer = first_answer(server, model.stem, clock)
        finally:
            server.terminate()
            server.communicate(timeout=60)
        outputs = ", ".join(
            f"{each['name']} {each['datatype']} {each['shape']}" for each in answer["outputs"]
        )
        (packages,) = environment.glob("lib/python3*/site-packages")
        print(f"{model.name} answered with {outputs}")
        print(f"wheel: {wheel.stat().st_size / 1e6:.1f} MB; environment: {megabytes(environment):.0f} MB")
        for name, size in largest(packages, 8):
            print(f"  {size:6.1f} MB  {name}")
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a file that naiad serves as it is")
    parser.add_argument("--limit", type=float, default=180.0, metavar="SECONDS")
    parser.add_argument("pip", nargs="*", help="arguments for pip install, behind --")
    options = parser.parse_args()
    clock = measure(options.wheel.resolve(), options.model.resolve(), options.pip)
    for step, seconds in clock.steps:
        print(f"{seconds:7.1f} s  {step}")
    print(f"{clock.total:7.1f} s  in all")
    if clock.total > options.limit:
        sys.exit(f"naiad: it took longer than {options.limit:g} s")


if __name__ == "__main__":
    main()
