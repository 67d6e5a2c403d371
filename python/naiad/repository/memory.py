"""Memory of processes: how much it is, and how what is unused goes back to the system."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache

import psutil

_DELAY_S = 0.5


def own_bytes(pid: int | None = None) -> int:
    """What a process (None: this one) has in memory and does not share: without mapped files and the tensor
    pool. 0 of one that has ended. Any thread.
    """
    try:
        memory = (_process(os.getpid()) if pid is None else psutil.Process(pid)).memory_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(memory.rss - memory.shared)


@cache
def _process(pid: int) -> psutil.Process:
    """Made once: to make it is to read what the system sums up over all threads of the process."""
    return psutil.Process(pid)


class Trimmer:
    """Has unused memory given back a little while after models have ended: once for many of them, and not
    while the call that ended them is waited for. Any thread.
    """

    def __init__(self, trim: Callable[[], None], delay_s: float = _DELAY_S) -> None:
        self._trim = trim
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def ask(self) -> None:
        """Soon."""
        with self._lock:
            if self._timer is not None:
                return
            self._timer = threading.Timer(self._delay_s, self._run)
            self._timer.daemon = True
            self._timer.name = "naiad-trim"
            self._timer.start()

    def close(self) -> None:
        """Nothing is trimmed any more. Blocks while that is under way."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    def _run(self) -> None:
        with self._lock:
            self._timer = None
        self._trim()
