"""``pb_utils.Logger``: a model's lines in the server's log."""

from __future__ import annotations

import logging
from enum import IntEnum

_log = logging.getLogger("naiad.model")


class LogLevel(IntEnum):
    """How much a line matters."""

    INFO = 0
    WARNING = 1
    ERROR = 2
    VERBOSE = 3


_LEVELS = {
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.VERBOSE: logging.DEBUG,
}


class Logger:
    """Writes lines to the server's log, at the place of the caller."""

    LogLevel = LogLevel
    INFO = LogLevel.INFO
    WARNING = LogLevel.WARNING
    ERROR = LogLevel.ERROR
    VERBOSE = LogLevel.VERBOSE

    @staticmethod
    def log(message: str, level: int = LogLevel.INFO) -> None:
        _write(_LEVELS[LogLevel(level)], message)

    @staticmethod
    def log_info(message: str) -> None:
        _write(logging.INFO, message)

    @staticmethod
    def log_warn(message: str) -> None:
        _write(logging.WARNING, message)

    @staticmethod
    def log_error(message: str) -> None:
        _write(logging.ERROR, message)

    @staticmethod
    def log_verbose(message: str) -> None:
        _write(logging.DEBUG, message)


def _write(level: int, message: str) -> None:
    # stacklevel: this function, the Logger's method, the model.
    _log.log(level, "%s", message, stacklevel=3)
