"""Failures in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from naiad.errors import NaiadError
from naiad.http.answers import JSON
from naiad.http.errors import status_of

# The core's words when a queue is full: the one case of UNAVAILABLE where the client asks too much.
_QUEUE_FULL = "Exceeds maximum queue size"

# As csrc/protocol/http_status.cc, which answers what is refused before it comes here, has them.
_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "request_forbidden",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    429: "rate_limit_error",
    501: "invalid_request_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """What a request is answered with in place of a result.

    ``param`` names the field of the request that is at fault, ``code`` the kind of fault.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    def to_json(self) -> dict[str, Any]:
        """The body."""
        kind = _TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def invalid(param: str, message: str) -> ApiError:
    """A field with a value that can't be."""
    return ApiError(400, message, param=param, code="invalid_value")


def unsupported(param: str, reason: str) -> ApiError:
    """A field that would change the answer and does not act here."""
    return ApiError(400, f"'{param}' {reason}", param=param, code="unsupported_parameter")


def api_error(error: NaiadError | ApiError) -> ApiError:
    """The failure of a model or of the server in this form."""
    if isinstance(error, ApiError):
        return error
    status = status_of(error)
    if error.code == "UNAVAILABLE" and _QUEUE_FULL in error.message:
        return ApiError(429, error.message, code="rate_limit_exceeded")
    return ApiError(status, error.message, code=error.code.lower() if status >= 500 else None)


def error_answer(error: ApiError, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a request that failed."""
    if error.status == 405:
        headers = {"Allow": "GET, POST"}
    body = json.dumps(error.to_json(), separators=(",", ":")).encode()
    return web.Response(status=error.status, body=body, content_type=JSON, headers=headers)
