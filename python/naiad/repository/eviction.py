"""Which models are unloaded when others need their memory: the least recently used first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from naiad.repository.entry import ModelEntry
from naiad.repository.serving import Serving

_log = logging.getLogger("naiad.repository")

DRAIN_S = 10.0
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that is loaded, as far as it matters for who has to go."""

    name: str
    size_bytes: int
    """At the place where room is made."""
    used_at_s: float
    """When it was loaded or a request of it ran, whichever was later; of the steady clock."""
    is_fixed: bool = False
    """It may not go."""
    steps: tuple[str, ...] = ()
    """Of an ensemble: the models that can not go before it."""


def choose(residents: Iterable[Resident], to_free: int) -> list[str]:
    """Who has to go, in that order, so that so many bytes are free: those that were not used for the longest
    time. None of them when that is not enough.
    """
    left = {resident.name: resident for resident in residents}
    chosen: list[Resident] = []
    while to_free > 0:
        needed = {step for resident in left.values() for step in resident.steps}
        free = [one for one in left.values() if not one.is_fixed and one.name not in needed]
        if not free:
            return []
        oldest = min(free, key=lambda one: (one.used_at_s, one.name))
        del left[oldest.name]
        chosen.append(oldest)
        to_free -= oldest.size_bytes
    return [one.name for one in chosen if one.size_bytes or _makes_way(one, chosen)]


def _makes_way(ensemble: Resident, chosen: Sequence[Resident]) -> bool:
    steps = {name for one in chosen if one.name in ensemble.steps for name in (one.name, *one.steps)}
    return any(one.name in steps and one.size_bytes for one in chosen)


class Evictor:
    """Makes room among the models of a repository. One thread at a time."""

    def __init__(
        self,
        serving: Serving,
        entries: Callable[[], Collection[ModelEntry]],
        *,
        drain_s: float = DRAIN_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``drain_s``: how long it is waited, in all, for models that are busy."""
        self._serving = serving
        self._entries = entries
        self._drain_s = drain_s
        self._clock = clock
        self._sleep = sleep

    def make_room(self, place: int, to_free: int, for_name: str) -> bool:
        """Unloads models so that so many bytes of ``place`` are free, but not ``for_name``. Whether anything
        is free now that was not before.

        Those with nothing in flight go first. Where these are not enough, requests for a busy one wait until
        it is done with what it has; if that takes long, it goes on.
        """
        end_s = self._clock() + self._drain_s
        freed = 0
        stuck: set[str] = {for_name}
        while freed < to_free:
            entries = {entry.name: entry for entry in self._entries() if entry.served}
            idle = [
                _resident(entry, place, entry.in_flight > 0 or name in stuck)
                for name, entry in entries.items()
            ]
            every = [_resident(entry, place, name in stuck) for name, entry in entries.items()]
            chosen = choose(idle, to_free - freed) or choose(every, to_free - freed)
            if not chosen:
                break
            entry = entries[chosen[0]]
            size = entry.size_bytes(place)
            if self._evict(entry, end_s):
                freed += size
            else:
                stuck.add(entry.name)
        return freed > 0

    def _evict(self, entry: ModelEntry, end_s: float) -> bool:
        # Who holds it loads or unloads the model, and may wait for room himself.
        if not entry.lock.acquire(blocking=False):
            return False
        try:
            if not entry.served or entry.is_fixed:
                return False
            self._serving.pause(entry)
            while entry.in_flight > 0:
                if self._clock() >= end_s:
                    self._serving.resume(entry)
                    return False
                self._sleep(_LOOK_S)
            size = entry.size_bytes()
            self._serving.stop(entry)
            entry.rows = {}
            entry.tried = None
            entry.num_evictions += 1
        finally:
            entry.lock.release()
        _log.info("'%s' had to make room for others: %.1f MB of main memory are free", entry.name, size / 1e6)
        return True


def _resident(entry: ModelEntry, place: int, stays: bool) -> Resident:
    return Resident(
        entry.name, entry.size_bytes(place), entry.used_at_s(), entry.is_fixed or stays, entry.steps
    )
