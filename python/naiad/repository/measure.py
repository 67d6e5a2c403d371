"""How much memory a load took."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

from naiad.config import ModelConfig
from naiad.engine import Model
from naiad.repository.expected_size import instance_places
from naiad.repository.gpu_memory import GpuMemory
from naiad.repository.memory import own_bytes
from naiad.settings import CPU

_IN_WORKERS = frozenset({"python", "pytorch", "tensorrt", "vllm"})
"""Backends whose models have processes of their own where they do not say otherwise."""

TURN_S = 30.0
"""How long a load waits for the one before it: that may be a model which has this one loaded."""


class Taken:
    """What is taken since it was made."""

    def __init__(self, places: Mapping[int, int], gpus: GpuMemory | None) -> None:
        """``places``: where the instances are."""
        self._places = places
        self._gpus = gpus
        self._main = own_bytes()
        self._on_gpus = {} if gpus is None else {gpu: gpus.used_bytes(gpu) for gpu in places if gpu != CPU}

    @staticmethod
    def of_workers(model: Model) -> int:
        """What the processes of its instances have, of main memory."""
        return sum(own_bytes(pid) for _, _, pid in model.instance_use() if pid)

    def by(self, model: Model, before: int = 0) -> dict[int, int]:
        """By place. Of main memory: that of its workers, which had ``before``, or of this process without
        any. Nothing of a model without instances: an ensemble.
        """
        if not self._places:
            return {}
        workers = self.of_workers(model)
        taken = {CPU: workers - before if workers or before else max(0, own_bytes() - self._main)}
        if self._gpus is not None:
            for gpu, used in self._on_gpus.items():
                taken[gpu] = max(0, self._gpus.used_bytes(gpu) - used)
        return taken


class Measure:
    """Looks at memory before and after loads. Any thread."""

    def __init__(
        self, gpus: GpuMemory | None = None, *, exact: bool = False, trim: Callable[[], None] = lambda: None
    ) -> None:
        """``exact``: models that share this process are loaded one at a time, so that each is seen to take
        what it takes, and ``trim`` gives back what was left unused before.
        """
        self._gpus = gpus
        self._exact = exact
        self._trim = trim
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def of(self, config: ModelConfig) -> Iterator[Taken]:
        """To be held while a model of this configuration is loaded."""
        turn = self._exact and not config.is_ensemble and _shares_this_process(config)
        held = turn and self._turn.acquire(timeout=TURN_S)
        try:
            if turn:
                self._trim()
            yield Taken(instance_places(config), self._gpus)
        finally:
            if held:
                self._turn.release()


def _shares_this_process(config: ModelConfig) -> bool:
    isolation = config.parameters.get("isolation")
    return config.backend not in _IN_WORKERS if isolation is None else isolation == "thread"
