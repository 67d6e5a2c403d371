"""Trace files as Triton names them: ``FILE``, or ``FILE.0``, ``FILE.1`` and so on. The thread that writes."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from naiad.logs import log


class TraceFile:
    """One file, and numbered ones beside it. What cannot be written is lost, and logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._main: TextIO | None = None
        self._next_index = 0
        self._failing = False

    def add(self, traces: str) -> None:
        """To the file itself, whose list ends when it is closed."""
        try:
            if self._main is None:
                self._main = self._path.open("w", encoding="utf-8")
                self._main.write("[")
            else:
                self._main.write(",")
            self._main.write(traces)
            self._main.flush()
            self._failing = False
        except OSError as error:
            self._tell(error)

    def add_numbered(self, traces: str) -> None:
        """To the next numbered file, a list of its own."""
        path = self._path.with_name(f"{self._path.name}.{self._next_index}")
        self._next_index += 1
        try:
            path.write_text(f"[{traces}]", encoding="utf-8")
            self._failing = False
        except OSError as error:
            self._tell(error)

    def close(self) -> None:
        """Ends the list. Idempotent."""
        if self._main is None:
            return
        try:
            with self._main:
                self._main.write("]")
        except OSError as error:
            self._tell(error)
        self._main = None

    def _tell(self, error: OSError) -> None:
        # Once, not for each trace of a full disk.
        if not self._failing:
            log.error("failed creating trace file: %s", error.strerror)
        self._failing = True
