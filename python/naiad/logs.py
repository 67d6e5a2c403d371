"""Log lines in Triton's form, or as JSON: ``I1124 02:49:12.702262 21865 server.py:321] "message"``.

The message is written as a JSON string, so that no client can forge a line with a newline in a name. Tables
are the exception: they follow the quoted line as they are.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from collections.abc import Sequence
from typing import Any

from naiad.settings import LogFormat, LogSettings

LOGGER_NAME = "naiad"

log = logging.getLogger(LOGGER_NAME)
"""The server's logger. ``extra={"table": text}`` adds lines after the message."""

_LETTERS = {
    logging.DEBUG: "V",
    logging.INFO: "I",
    logging.WARNING: "W",
    logging.ERROR: "E",
    logging.CRITICAL: "F",
}


class TritonFormatter(logging.Formatter):
    """Writes a record as Triton writes it, in its default or its ISO 8601 form (UTC)."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        letter = _LETTERS.get(record.levelno, "I")
        moment = time.gmtime(record.created)
        place = f"{record.process} {record.filename}:{record.lineno}]"
        message = json.dumps(record.getMessage(), ensure_ascii=False)
        if self._form == "ISO8601":
            head = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', moment)} {letter} {place}"
        else:
            micros = int(record.created % 1 * 1_000_000)
            head = f"{letter}{time.strftime('%m%d %H:%M:%S', moment)}.{micros:06d} {place}"
        lines = [f"{head} {message}"]
        table = getattr(record, "table", None)
        if table:
            lines.append(str(table))
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object on one line: time (UTC), level, pid, file, line, message, and, where
    there are any, table (its lines) and exception (the traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        members: dict[str, Any] = {
            "time": f"{moment}.{int(record.created % 1 * 1_000_000):06d}Z",
            "level": record.levelname,
            "pid": record.process,
            "file": record.filename,
            "line": record.lineno,
            "message": record.getMessage(),
        }
        if table := getattr(record, "table", None):
            members["table"] = str(table).splitlines()
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def configure(settings: LogSettings) -> None:
    """Sends the server's log to standard error or to a file. Replaces what an earlier call set up, at once.

    A file that was moved away, as by logrotate, is made anew. Raises OSError, and changes nothing, when the
    file cannot be written.
    """
    sink: logging.Handler
    if settings.file is not None:
        sink = logging.handlers.WatchedFileHandler(settings.file, encoding="utf-8")
    else:
        sink = logging.StreamHandler(sys.stderr)
    sink.setFormatter(JsonFormatter() if settings.format == "json" else TritonFormatter(settings.format))
    wanted = {
        logging.DEBUG: settings.verbose > 0,
        logging.INFO: settings.info,
        logging.WARNING: settings.warning,
        logging.ERROR: settings.error,
        logging.CRITICAL: settings.error,
    }
    sink.addFilter(lambda record: wanted.get(record.levelno, True))
    replaced = list(log.handlers)
    log.addHandler(sink)
    for old in replaced:
        log.removeHandler(old)
        old.close()
    # Lines that nobody wants are not even made.
    log.setLevel(least_level(settings))
    log.propagate = False


def least_level(settings: LogSettings) -> int:
    """The lowest level of ``logging`` that is written."""
    if settings.verbose > 0:
        return logging.DEBUG
    if settings.info:
        return logging.INFO
    return logging.WARNING if settings.warning else logging.ERROR


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table as Triton draws it at start."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(row: tuple[str, ...]) -> str:
        return "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True)) + "|"

    return "\n".join([rule, line(heads), rule, *(line(row) for row in rows), rule])
