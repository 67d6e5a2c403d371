"""The backend on the stand-in for vLLM that lies beside this file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fake_request import FakeRequest

from naiad.backends.python.instance import PythonModelInstance
from naiad.backends.vllm.contract import contract
from naiad.backends.vllm.engine_model import EngineModel, EngineRunner
from naiad.backends.vllm.framework import Framework
from naiad.backends.vllm.metrics import EngineMetrics
from naiad.backends.vllm.sampling import SamplingReader

FAKE_VLLM = Path(__file__).parent / "fake_vllm"


@contextmanager
def fake_framework() -> Iterator[Framework]:
    """Until it is left, ``vllm`` is the stand-in."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "vllm"}
    sys.path.insert(0, str(FAKE_VLLM))
    try:
        yield Framework()
    finally:
        sys.path.remove(str(FAKE_VLLM))
        for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
            del sys.modules[name]
        sys.modules.update(kept)


class RunningModel:
    """One engine, and requests to it."""

    def __init__(
        self,
        framework: Framework,
        *,
        task: str = "generate",
        adapters: dict[str, str] | None = None,
        metrics: EngineMetrics | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        values = {"served_model_name": "m", "runner": "generate" if task == "generate" else "pooling"}
        self.engine = framework.start(values | (arguments or {}), "model.json")
        self.left: list[int] = []
        model = EngineModel("m", task, adapters, SamplingReader(framework), framework, metrics)
        runner = EngineRunner(model, self.engine, "m_0", leave=self.left.append)
        self.outputs = [output.name for output in contract(task).outputs]
        self.instance = PythonModelInstance(
            "m_0", runner, self.outputs, copy_inputs=False, decoupled=contract(task).decoupled
        )

    def send(self, text: str | bytes, **inputs: Any) -> FakeRequest:
        """Begins a request. Inputs by name; ``parameters``: those of the request itself."""
        parameters = inputs.pop("parameters", {})
        given: dict[str, Any] = {"text_input": _tensor(text)}
        given |= {name: _tensor(value) for name, value in inputs.items()}
        request = FakeRequest(given, known_outputs=tuple(self.outputs), parameters=parameters)
        self.instance.execute([request])  # type: ignore[list-item]
        return request

    def ask(self, text: str | bytes, **inputs: Any) -> list[Any]:
        """All responses to a request: {output: values}, or (code, message)."""
        request = self.send(text, **inputs)
        assert request.sender is not None
        sender = request.sender
        until(lambda: sender.ended)
        return [what[0] if isinstance(what[0], dict) else what for what, _ in sender.given]

    def close(self) -> None:
        self.instance.finalize()


def _tensor(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "BOOL", np.array([value])
    values = value if isinstance(value, list) else [value]
    return "BYTES", np.array([v.encode() if isinstance(v, str) else v for v in values], np.object_)


def until(true: Callable[[], object]) -> None:
    """Blocks until something is true; fails after ten seconds."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.002)
