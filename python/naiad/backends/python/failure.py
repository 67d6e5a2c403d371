"""``pb_utils.TritonError`` and ``TritonModelException``; what is said of a model that can not be loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from naiad.backends.base import ModelFiles
from naiad.errors import BackendError, NaiadError


class TritonErrorCode(IntEnum):
    """What kind of failure: TRITONSERVER_Error_Code."""

    UNKNOWN = 0
    INTERNAL = 1
    NOT_FOUND = 2
    INVALID_ARG = 3
    UNAVAILABLE = 4
    UNSUPPORTED = 5
    ALREADY_EXISTS = 6
    CANCELLED = 7


ERROR_CODES: dict[int, str] = {
    TritonErrorCode.UNKNOWN: "UNKNOWN",
    TritonErrorCode.INTERNAL: "INTERNAL",
    TritonErrorCode.NOT_FOUND: "NOT_FOUND",
    TritonErrorCode.INVALID_ARG: "INVALID_ARGUMENT",
    TritonErrorCode.UNAVAILABLE: "UNAVAILABLE",
    TritonErrorCode.UNSUPPORTED: "UNSUPPORTED",
    TritonErrorCode.ALREADY_EXISTS: "ALREADY_EXISTS",
    TritonErrorCode.CANCELLED: "CANCELLED",
}
"""Triton's code -> the code in naiad.errors."""


def encodable(text: str) -> str:
    """The text with what UTF-8 cannot spell (lone surrogates, from file names) replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def load_failure(
    log: logging.Logger, files: ModelFiles, stage: str, error: BaseException, said: str = ""
) -> BackendError:
    """Logs what a model's code or its framework has raised; the text, without a path, is for clients.
    ``said`` takes the place of the error's own.
    """
    log.error("model '%s' version %d failed to load (%s)", files.name, files.version, stage, exc_info=error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        text = f"{text} ({Path(error.filename or '').name}, line {error.lineno})"
    said = said or f"{type(error).__name__}: {text}"
    for directory in (files.version_directory, files.directory):
        said = said.replace(f"{directory}/", "")
    return BackendError(encodable(said))


@contextmanager
def loading(log: logging.Logger, files: ModelFiles, stage: str) -> Iterator[None]:
    """What a model's code raises within is ``load_failure``; errors of ``naiad.errors`` go as they are."""
    try:
        yield
    except NaiadError:
        raise
    except (Exception, SystemExit) as error:
        raise load_failure(log, files, stage, error) from None


class TritonError:
    """A failure that a model reports for one request, in the ``error`` of an InferenceResponse."""

    UNKNOWN = TritonErrorCode.UNKNOWN
    INTERNAL = TritonErrorCode.INTERNAL
    NOT_FOUND = TritonErrorCode.NOT_FOUND
    INVALID_ARG = TritonErrorCode.INVALID_ARG
    UNAVAILABLE = TritonErrorCode.UNAVAILABLE
    UNSUPPORTED = TritonErrorCode.UNSUPPORTED
    ALREADY_EXISTS = TritonErrorCode.ALREADY_EXISTS
    CANCELLED = TritonErrorCode.CANCELLED

    __slots__ = ("_code", "_message")

    def __init__(self, message: str, code: int = TritonErrorCode.INTERNAL) -> None:
        if not isinstance(message, str):
            raise TypeError(f"TritonError: message must be a str, got {type(message).__name__}")
        self._message = encodable(message)
        self._code = TritonErrorCode(code)

    def message(self) -> str:
        return self._message

    def code(self) -> TritonErrorCode:
        return self._code


class TritonModelException(Exception):
    """What a model raises when it cannot go on: the whole batch fails with its text."""
