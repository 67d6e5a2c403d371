"""HTTP statuses of the errors, as Triton gives them, and the body that carries the words."""

from __future__ import annotations

import json

from naiad.errors import NaiadError

STATUS_OF_CODE = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 400,  # Triton's clients know no 409
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "UNSUPPORTED": 501,
    "CANCELLED": 400,  # Triton gives 400; who cancelled is seldom there to read it
    "INTERNAL": 500,
    "UNKNOWN": 400,
}


def status_of(error: NaiadError) -> int:
    """The status under which ``error`` is answered."""
    return STATUS_OF_CODE[error.code]


def error_body(message: str) -> bytes:
    """``{"error": message}``."""
    return json.dumps({"error": message}, separators=(",", ":")).encode()
