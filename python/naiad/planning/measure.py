"""The memory that a model really takes: it is loaded, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from naiad.composition import build_core
from naiad.planning.memory_use import LEAST_GPU_BYTES, gpu_used_bytes, host_used_bytes
from naiad.planning.model_size import ModelSize
from naiad.settings import RepositorySettings, ServerSettings

_TIMEOUT_S = 900


def measured(size: ModelSize, repositories: Sequence[Path], linked: Path | None) -> ModelSize:
    """``size`` with what loading shows. An engine takes the share of a GPU that it is told to: its computed
    size stays, and so does that of a model which does not load, with the reason.
    """
    if size.is_engine or (size.basis != "unknown" and not size.resident_bytes):
        return size
    request = json.dumps(
        {"name": size.name, "repositories": list(map(str, repositories)), "linked": linked and str(linked)}
    )
    command = [sys.executable, "-m", "naiad.planning.measure", request]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        answer = json.loads(ran.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return _not_measured(size, f"it did not load in {_TIMEOUT_S} s")
    except (ValueError, IndexError):
        return _not_measured(size, f"the process that loaded it ended with status {ran.returncode}")
    if "error" in answer:
        return _not_measured(size, str(answer["error"]))
    gpu, host = int(answer["gpu"]), int(answer["host"])
    on_gpu = gpu >= LEAST_GPU_BYTES
    detail = (
        "of GPU memory while loaded" if on_gpu else "of main memory while loaded: it ran on the processors"
    )
    return replace(size, weights_bytes=gpu if on_gpu else host, instances=1, basis="measured", detail=detail)


def _not_measured(size: ModelSize, reason: str) -> ModelSize:
    return replace(size, detail=f"{size.detail}; not measured: {reason}")


def _load(name: str, repositories: tuple[Path, ...], linked: Path | None) -> dict[str, object]:
    """What is taken more with the model than without."""
    settings = ServerSettings(
        RepositorySettings(
            repositories, control_mode="explicit", load_models=(name,), linked_repository=linked
        )
    )
    core = build_core(settings)
    try:
        gpu, host = gpu_used_bytes(), host_used_bytes()
        core.repository.load_all()
        return {"gpu": max(0, gpu_used_bytes() - gpu), "host": max(0, host_used_bytes() - host)}
    finally:
        core.close()


def main() -> None:
    """Prints one line of JSON last."""
    request = json.loads(sys.argv[1])
    linked = Path(request["linked"]) if request["linked"] else None
    answer: dict[str, object]
    try:
        answer = _load(request["name"], tuple(map(Path, request["repositories"])), linked)
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
