"""The memory that a worker shares with its server, pinned so that the GPU copies from and to it by itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES = 32 << 20
"""Pinned at a time, when something in it is first copied."""

_PORTABLE = 0x01
_READ_ONLY = 0x08
"""Of cudaHostRegister."""

_log = logging.getLogger("naiad.backends.pytorch")

Register = Callable[[int, int, bool], str]
"""Pins memory: address, bytes, whether this process may write to it. What went wrong, "" for nothing."""


@dataclass(frozen=True)
class Arena:
    """A mapping of this process."""

    address: int
    size_bytes: int
    is_writable: bool


class PinnedArenas:
    """The first bytes of each arena, where those who allocate begin. The thread of the instance."""

    def __init__(self, arenas: Sequence[Arena], limit_bytes: int, register: Register) -> None:
        """``limit_bytes``: of each arena."""
        self._arenas = tuple(arenas)
        self._limit_bytes = limit_bytes
        self._register = register
        self._pinned: dict[tuple[int, int], bool] = {}
        self._has_failed = False

    def pieces(self, address: int, size_bytes: int) -> list[tuple[int, int]]:
        """What lies there, as (offset, bytes), none of which reaches from one pinned range into the next: the
        driver refuses copies that do. None where some of it is not pinned.
        """
        for arena in self._arenas:
            at = address - arena.address
            if at >= 0 and at + size_bytes <= arena.size_bytes:
                chunks = list(_cut(at, size_bytes))
                if all(self._pin(arena, offset // CHUNK_BYTES) for offset, _ in chunks):
                    return [(offset - at, size) for offset, size in chunks]
        return []

    def _pin(self, arena: Arena, chunk: int) -> bool:
        key = (arena.address, chunk)
        found = self._pinned.get(key)
        if found is None:
            found = self._pinned[key] = self._try_pin(arena, chunk * CHUNK_BYTES)
        return found

    def _try_pin(self, arena: Arena, offset: int) -> bool:
        size = min(CHUNK_BYTES, arena.size_bytes - offset)
        if self._has_failed or offset + size > self._limit_bytes:
            return False
        wrong = self._register(arena.address + offset, size, arena.is_writable)
        if wrong:
            self._has_failed = True
            count = sum(self._pinned.values())
            _log.warning(
                "%d MiB of the memory shared with the server are pinned, no more can be (%s): the rest is "
                "copied once more on its way",
                count * CHUNK_BYTES >> 20,
                wrong,
            )
        return not wrong


def _cut(at: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    end = at + size_bytes
    while at < end:
        size = min(end, (at // CHUNK_BYTES + 1) * CHUNK_BYTES) - at
        yield at, size
        at += size


def register_by(cudart: Any, forget: Callable[[], object]) -> Register:
    """Of ``torch.cuda.cudart()``. It ends with the process. ``forget`` launches something, whatever it
    raises: CUDA keeps its last error, and the next launch would be thought to have failed.
    """

    def register(address: int, size_bytes: int, is_writable: bool) -> str:
        flags = _PORTABLE if is_writable else _PORTABLE | _READ_ONLY
        status = cudart.cudaHostRegister(address, size_bytes, flags)
        if int(status) == 0:
            return ""
        with contextlib.suppress(RuntimeError):
            forget()
        return str(cudart.cudaGetErrorString(status))

    return register
