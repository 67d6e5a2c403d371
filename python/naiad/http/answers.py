"""Making HTTP answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from naiad.http.errors import error_body

JSON = "application/json"
BINARY = "application/octet-stream"


def json_answer(value: Any) -> web.Response:
    """200 with ``value`` as JSON."""
    return web.Response(body=json.dumps(value, separators=(",", ":")).encode(), content_type=JSON)


def empty_answer(status: int = 200) -> web.Response:
    """A status that needs no words."""
    return web.Response(status=status)


def error_answer(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """``{"error": message}`` under ``status``."""
    return web.Response(status=status, body=error_body(message), content_type=JSON, headers=headers)


class PiecesAnswer(web.StreamResponse):
    """An answer whose body is sent from where it lies; aiohttp's own Response would copy it."""

    def __init__(self, pieces: Sequence[bytes | memoryview], headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self.content_length = sum(len(piece) for piece in pieces)
        self._pieces = pieces

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends head and body. The transport keeps the pieces until the socket has taken them."""
        writer = await super().prepare(request)
        transport = request.transport
        if writer is None or transport is None:
            raise ConnectionResetError("the client is gone")
        writer.send_headers()
        transport.writelines(self._pieces)
        await writer.drain()
        return writer
