"""Tracing as the server starts and stops it: the settings, and the thread that writes what the core notes."""

from __future__ import annotations

import threading
from typing import Protocol

from naiad.engine import Tracer
from naiad.errors import InvalidArgument, Unavailable
from naiad.logs import log
from naiad.settings import TraceSettings
from naiad.tracing.control import TraceControl
from naiad.tracing.file_writer import FileWriter
from naiad.tracing.record import TraceRecord, read_record
from naiad.tracing.trace_file import TraceFile

# How long the writer sleeps when there is nothing to write; it is woken when there is.
_LOOK_S = 1.0


class _Writer(Protocol):
    def begin(self, number: int, log_frequency: int, is_counted: bool) -> None: ...
    def add(self, number: int, record: TraceRecord) -> None: ...
    def complete(self, number: int) -> None: ...
    def end(self, number: int) -> None: ...
    def close(self) -> None: ...


class Tracing:
    """The traces of one server."""

    def __init__(self, settings: TraceSettings, tracer: Tracer) -> None:
        """Raises InvalidArgument, Unavailable, or Unsupported for settings that cannot act."""
        self._tracer = tracer
        self._writer = _writer(settings)
        self._dropped = 0
        self.control = TraceControl(settings, tracer, self._writer.begin)
        self._thread = threading.Thread(target=self._write, name="naiad-traces", daemon=True)

    def start(self) -> None:
        """Starts to write."""
        self._thread.start()

    def stop(self) -> None:
        """Traces nothing more, and writes what there is. Blocks; once."""
        self._tracer.close()
        if self._thread.is_alive():
            self._thread.join()
        self._writer.close()

    def _write(self) -> None:
        while (news := self._tracer.take(_LOOK_S)) or not self._tracer.closed:
            for number, noted, has_all, has_ended in news:
                try:
                    if noted is not None:
                        self._writer.add(number, read_record(noted))
                    if has_all:
                        self._writer.complete(number)
                    if has_ended:
                        self._writer.end(number)
                except Exception:
                    log.exception("a trace could not be written")
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        dropped = self._tracer.num_dropped
        if dropped != self._dropped:
            log.warning(
                "%d traces were dropped: they came faster than they were written", dropped - self._dropped
            )
            self._dropped = dropped


def _writer(settings: TraceSettings) -> _Writer:
    if settings.mode == "opentelemetry":
        from naiad.tracing.otel import SpanExport

        return SpanExport(settings)
    if settings.file is None:
        if settings.timestamps or settings.tensors:
            raise InvalidArgument("the trace level needs a trace file: --trace-config triton,file=FILE")
        return _NoWriter()
    if not settings.file.parent.is_dir():
        raise Unavailable("the directory of the trace file does not exist")
    return FileWriter(TraceFile(settings.file))


class _NoWriter:
    """Where there is no trace file nothing is traced."""

    def begin(self, number: int, log_frequency: int, is_counted: bool) -> None: ...
    def add(self, number: int, record: TraceRecord) -> None: ...
    def complete(self, number: int) -> None: ...
    def end(self, number: int) -> None: ...
    def close(self) -> None: ...
