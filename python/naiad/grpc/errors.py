"""gRPC statuses of the errors, as Triton gives them."""

from __future__ import annotations

from grpc import StatusCode

from naiad.errors import NaiadError

STATUS_OF_CODE = {
    "INVALID_ARGUMENT": StatusCode.INVALID_ARGUMENT,
    "NOT_FOUND": StatusCode.NOT_FOUND,
    "ALREADY_EXISTS": StatusCode.ALREADY_EXISTS,
    "UNAVAILABLE": StatusCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": StatusCode.DEADLINE_EXCEEDED,
    "UNSUPPORTED": StatusCode.UNIMPLEMENTED,
    "CANCELLED": StatusCode.CANCELLED,
    "INTERNAL": StatusCode.INTERNAL,
    "UNKNOWN": StatusCode.UNKNOWN,
}


def status_of(error: NaiadError) -> StatusCode:
    """The status under which ``error`` is answered."""
    return STATUS_OF_CODE[error.code]
