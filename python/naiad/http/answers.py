"""Making HTTP answers."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from naiad.http.errors import error_body

JSON = "application/json"


def json_answer(value: Any) -> web.Response:
    """200 with ``value`` as JSON."""
    return web.Response(body=json.dumps(value, separators=(",", ":")).encode(), content_type=JSON)


def empty_answer(status: int = 200) -> web.Response:
    """A status that needs no words."""
    return web.Response(status=status)


def error_answer(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """``{"error": message}`` under ``status``."""
    return web.Response(status=status, body=error_body(message), content_type=JSON, headers=headers)
