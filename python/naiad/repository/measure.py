"""How much memory a load took, whatever ends beside it."""

from __future__ import annotations

import contextlib
import threading
import time
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

_LOOK_S = 0.005


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
        """``exact``: models that share this process are loaded, and ended, one at a time, so that each is
        seen to take what it takes. ``trim`` gives back what is unused.
        """
        self._gpus = gpus
        self._exact = exact
        self._trim = trim
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def of(self, config: ModelConfig) -> Iterator[Taken]:
        """To be held while a model of this configuration is loaded."""
        takes_turns = self._takes_turns(config)
        with self._in_turn(takes_turns):
            if takes_turns:
                self._trim()
            yield Taken(instance_places(config), self._gpus)

    @contextlib.contextmanager
    def ending(self, config: ModelConfig, model: Model) -> Iterator[None]:
        """To be held while a model that nobody can ask any more is ended: what it gives back is then not
        taken for less that another one takes. Waits for what it is doing.
        """
        takes_turns = self._takes_turns(config)
        while takes_turns and model.in_flight > 0:
            time.sleep(_LOOK_S)  # a load beside it does not wait for that
        with self._in_turn(takes_turns):
            yield
            if takes_turns:
                self._trim()

    def trim(self) -> None:
        """Gives back what is unused; not while a load is measured, for which it was done already."""
        if not self._exact:
            self._trim()
        elif self._turn.acquire(blocking=False):
            try:
                self._trim()
            finally:
                self._turn.release()

    def _takes_turns(self, config: ModelConfig) -> bool:
        return self._exact and not config.is_ensemble and _shares_this_process(config)

    @contextlib.contextmanager
    def _in_turn(self, takes_turns: bool) -> Iterator[None]:
        held = takes_turns and self._turn.acquire(timeout=TURN_S)
        try:
            yield
        finally:
            if held:
                self._turn.release()


def _shares_this_process(config: ModelConfig) -> bool:
    isolation = config.parameters.get("isolation")
    return config.backend not in _IN_WORKERS if isolation is None else isolation == "thread"
