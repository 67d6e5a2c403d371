"""Traces of mode ``triton``: collected and written to files. The thread that writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from naiad.tracing.record import TraceRecord
from naiad.tracing.trace_file import TraceFile
from naiad.tracing.triton_json import write_record

# Beyond this what was collected is written before it is complete.
_MAX_HELD_CHARACTERS = 64 << 20


@dataclass(slots=True)
class _Collected:
    """Of one setting."""

    log_frequency: int
    is_counted: bool
    traces: list[str] = field(default_factory=list)
    size: int = 0


class FileWriter:
    """Writes as each setting says: all to the file as they come, or so many at a time to numbered files."""

    def __init__(self, file: TraceFile) -> None:
        self._file = file
        self._settings: dict[int, _Collected] = {}

    def begin(self, number: int, log_frequency: int, is_counted: bool) -> None:
        """A setting's traces may come. ``is_counted``: their number is bounded, and they are written to a
        numbered file when all are there. Any thread.
        """
        self._settings[number] = _Collected(log_frequency, is_counted)

    def add(self, number: int, record: TraceRecord) -> None:
        """A trace of that setting."""
        text = write_record(record)
        collected = self._settings[number]
        if not collected.log_frequency and not collected.is_counted:
            self._file.add(text)
            return
        collected.traces.append(text)
        collected.size += len(text)
        is_due = collected.log_frequency and len(collected.traces) >= collected.log_frequency
        if is_due or collected.size > _MAX_HELD_CHARACTERS:
            self._write_numbered(collected)

    def complete(self, number: int) -> None:
        """The setting's count is reached."""
        self._write_numbered(self._settings[number])

    def end(self, number: int) -> None:
        """The setting was replaced: what is left of it is written."""
        collected = self._settings.pop(number)
        if collected.log_frequency:
            self._write_numbered(collected)
        elif collected.traces:
            self._file.add(",".join(collected.traces))

    def close(self) -> None:
        """No more comes."""
        for number in list(self._settings):
            self.end(number)
        self._file.close()

    def _write_numbered(self, collected: _Collected) -> None:
        if collected.traces:
            self._file.add_numbered(",".join(collected.traces))
        collected.traces.clear()
        collected.size = 0
