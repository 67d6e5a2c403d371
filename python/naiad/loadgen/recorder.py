"""Gathers what happens in a process into windows, and tells the parent of each."""

from __future__ import annotations

import resource
from collections.abc import Callable

from naiad.loadgen.windows import Window


class Recorder:
    """One thread. What ends before the first window counts for nothing: it is the warm-up."""

    def __init__(self, start_at_s: float, window_s: float, tell: Callable[[Window], None]) -> None:
        self._ends_s = start_at_s
        self._window_s = window_s
        self._tell = tell
        self._window = Window()
        self._began = False
        self._began_s = start_at_s
        self._cpu_s = 0.0
        self.counted = 0
        """Answers and failures of all time."""

    def answer(self, latency_s: float, now_s: float) -> None:
        """One came."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        self._window.latency.add(latency_s)
        self.counted += 1

    def response(self, asked_s: float, before_s: float | None, now_s: float) -> None:
        """One of several to a request of ``asked_s``; the one before came at ``before_s``."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        if before_s is None:
            self._window.first.add(now_s - asked_s)
        else:
            self._window.between.add(now_s - before_s)

    def failure(self, reason: str, now_s: float) -> None:
        """One did not."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        self._window.errors[reason] += 1
        self.counted += 1

    def late(self) -> None:
        """A request could not be sent when it was due."""
        self._window.late += 1

    def tick(self, now_s: float) -> None:
        """Ends a window in which nothing comes."""
        if now_s >= self._ends_s:
            self._turn(now_s)

    def _turn(self, now_s: float) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        if self._began:
            self._window.seconds = now_s - self._began_s
            self._window.client_cpu_s = cpu_s - self._cpu_s
            self._tell(self._window)
        self._began, self._began_s, self._cpu_s = True, now_s, cpu_s
        self._ends_s = now_s + self._window_s
        self._window = Window()
