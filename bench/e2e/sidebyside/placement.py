"""Which CPUs the servers and the client may run on.

Left to itself the kernel puts a client and the thread that answers it now on one CPU, now on two, and a
wake-up costs several times more in the second case: the CPU time of the same request was seen to differ
threefold from turn to turn. With the client on a CPU of its own it stays within some percent, on a busy
machine too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """CPUs by number. The two sets are the same when nothing is pinned."""

    server_cpus: frozenset[int]
    client_cpus: frozenset[int]

    def __str__(self) -> str:
        """One sentence for the reader of the table."""
        if self.server_cpus == self.client_cpus:
            return "free: the servers and the client share all CPUs"
        return f"pinned: the servers have {len(self.server_cpus)} CPU(s), the client one of its own"

    @contextmanager
    def starting_client(self) -> Iterator[None]:
        """What is started within runs on the client's CPUs. Moves the calling thread; main thread only."""
        with _moved_to(self.client_cpus):
            yield

    @contextmanager
    def starting_server(self) -> Iterator[None]:
        """What is started within runs on the servers' CPUs. Moves the calling thread; main thread only."""
        with _moved_to(self.server_cpus):
            yield


@contextmanager
def _moved_to(cpus: frozenset[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def choose_placement(cpus: frozenset[int], pinned: bool) -> Placement:
    """The last CPU for the client and the others for the servers, or all for all when not `pinned`.

    Raises ValueError when there is only one CPU to pin to.
    """
    if not pinned:
        return Placement(cpus, cpus)
    if len(cpus) < 2:
        raise ValueError("one CPU can't be shared out between servers and client: use --placement=free")
    client = frozenset({max(cpus)})
    return Placement(cpus - client, client)
