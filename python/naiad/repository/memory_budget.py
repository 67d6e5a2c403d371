"""How much memory models may take together, what each of them took, and which is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from naiad.errors import Unavailable
from naiad.repository.gpu_memory import GpuMemory
from naiad.settings import CPU

HEADROOM = 0.15
"""Of all models together: buffers of batches, what frameworks take while they run."""

Sizes = Mapping[int, int]
"""Bytes by where they are: main memory (``CPU``) or a GPU by its number."""

WAIT_S = 10.0
"""How long a load waits for room while other models are being loaded or ended."""

Files = frozenset[tuple[str, int, int]]


@dataclass(eq=False)
class Claim:
    """The memory of one version: what it is expected to take until it is loaded, then what it took."""

    name: str
    version: int
    files: Files = frozenset()
    sizes: dict[int, int] = field(default_factory=dict)
    is_serving: bool = False
    """If not, it is being loaded or ended."""

    @property
    def main_bytes(self) -> int:
        """Of main memory."""
        return self.sizes.get(CPU, 0)


class MemoryBudget:
    """Has a claim for each version that is loaded. Any thread; one is admitted at a time."""

    def __init__(
        self,
        limit_bytes: int = 0,
        gpu_limits: Mapping[int, float] | None = None,
        gpus: GpuMemory | None = None,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        """``limit_bytes``: of main memory, headroom included; 0: as much as they want. ``gpu_limits``: the
        part of a GPU's memory that may be in use, by anybody.
        """
        self._limit_bytes = limit_bytes
        self._gpu_limits = dict(gpu_limits or {}) if gpus is not None else {}
        self._gpus = gpus
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._changes = 0
        self._claims: set[Claim] = set()
        self._last: dict[tuple[str, int], Claim] = {}
        self.make_room: Callable[[int, int, str], bool] = lambda place, to_free, name: False
        """Unloads models so that at least so many bytes are free there, but not that one; whether it did."""

    @property
    def is_limited(self) -> bool:
        """Whether anything is ever refused."""
        return bool(self._limit_bytes or self._gpu_limits)

    @property
    def limit_bytes(self) -> int:
        """Of main memory; 0: there is no limit."""
        return self._limit_bytes

    def used_bytes(self, place: int = CPU) -> int:
        """What the versions that are loaded or being loaded take."""
        with self._lock:
            return sum(claim.sizes.get(place, 0) for claim in self._claims)

    def admit(self, name: str, version: int, files: Files, by_files: Sizes) -> Claim:
        """Before a version is loaded. It is expected to take what it took the last time, if its files are
        those of then, and otherwise ``by_files``. Others are unloaded for it where that helps. Raises
        Unavailable with the numbers when there is no room for it.
        """
        claim = Claim(name, version, files, dict(by_files))
        basis = "by the size of its files"
        last = self._last.get((name, version))
        if last is not None and last.files == files:
            claim.sizes = dict(last.sizes)
            basis = "which it took when it was loaded last"
        with self._turn:
            self._fit(claim, claim.sizes, basis)
            with self._lock:
                self._claims.add(claim)
        return claim

    def settle(self, claim: Claim, took: Sizes) -> None:
        """Once it is loaded, before it serves. Raises Unavailable when it took so much that there is no room
        for it: then it is to be ended, and its claim released.
        """
        with self._lock:
            claim.sizes = dict(took)
            self._last[claim.name, claim.version] = Claim(claim.name, claim.version, claim.files, dict(took))
        none = dict.fromkeys(took, 0)
        if any(self._over(place, 0) > 0 for place in none):
            with self._turn:
                self._fit(claim, none, "which it took")

    def grow(self, claim: Claim, more: Sizes) -> None:
        """It has other instances than before."""
        with self._lock:
            for place, size in more.items():
                claim.sizes[place] = max(0, claim.sizes.get(place, 0) + size)
            self._last[claim.name, claim.version] = Claim(
                claim.name, claim.version, claim.files, dict(claim.sizes)
            )

    def note_serving(self, claims: Iterable[Claim | None], serving: bool) -> None:
        """They serve, or do so no more and are about to end."""
        for claim in claims:
            if claim is not None:
                claim.is_serving = serving
        self._tell()

    def release(self, claim: Claim | None) -> None:
        """It has ended. Idempotent."""
        with self._lock:
            if claim is not None:
                self._claims.discard(claim)
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _fit(self, claim: Claim, more: Sizes, basis: str) -> None:
        """In its turn."""
        end_s = time.monotonic() + self._wait_s
        for place, size in more.items():
            while (over := self._over(place, size)) > 0:
                seen = self._changes
                if self.make_room(place, over, claim.name):
                    continue
                left_s = end_s - time.monotonic()
                if left_s <= 0 or not self._is_changing(claim):
                    raise Unavailable(self._refusal(place, claim, size, basis))
                # What is loaded then can make room, and what fails leaves room.
                self._wait_for_change(seen, left_s)

    def _wait_for_change(self, seen: int, limit_s: float) -> None:
        """Others have their turn meanwhile."""
        self._turn.release()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._changes != seen, limit_s)
        finally:
            self._turn.acquire()

    def _is_changing(self, but: Claim) -> bool:
        with self._lock:
            return any(not claim.is_serving for claim in self._claims if claim is not but)

    def _over(self, place: int, more: int) -> int:
        """How much does not fit. With the headroom, which a GPU's fraction has in itself."""
        if place == CPU:
            if not self._limit_bytes:
                return 0
            return self.used_bytes() + more - int(self._limit_bytes / (1 + HEADROOM))
        if place not in self._gpu_limits or self._gpus is None:
            return 0
        return self._gpus.used_bytes(place) + more - self._allowed_of_gpu(place)

    def _allowed_of_gpu(self, place: int) -> int:
        assert self._gpus is not None
        return int(self._gpus.total_bytes(place) * self._gpu_limits[place])

    def _refusal(self, place: int, claim: Claim, size: int, basis: str) -> str:
        needs = claim.sizes.get(place, 0)
        if place == CPU:
            others = self.used_bytes() - (0 if size else needs)
            return (
                f"there is no room for model '{claim.name}' version {claim.version} in main memory: it needs "
                f"{_shown(needs)}, {basis}, the models that are loaded take {_shown(others)}, and with "
                f"{HEADROOM:.0%} headroom {_shown(int((others + needs) * (1 + HEADROOM)))} are more than "
                f"--model-memory-limit={_shown(self._limit_bytes)} allows; unload a model or raise the limit"
            )
        assert self._gpus is not None
        used = self._gpus.used_bytes(place) - (0 if size else needs)
        return (
            f"there is no room for model '{claim.name}' version {claim.version} on GPU {place}: it needs "
            f"{_shown(needs)}, {basis}, {_shown(used)} of {_shown(self._gpus.total_bytes(place))} are in "
            f"use, and --model-load-gpu-limit={place}:{self._gpu_limits[place]:g} allows "
            f"{_shown(self._allowed_of_gpu(place))}; unload a model or raise the limit"
        )


def _shown(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
