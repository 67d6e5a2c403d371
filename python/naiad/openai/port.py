"""A port of its own for the OpenAI-compatible API."""

from __future__ import annotations

from aiohttp import web

from naiad.access.refusal import refusal
from naiad.engine import AccessGate
from naiad.http.answers import error_answer
from naiad.listening import ListeningPort
from naiad.openai.api import OpenAiApi
from naiad.settings import OpenAiSettings

MAX_CONNECTIONS = 1_000
"""The next one is closed at once."""


class OpenAiPort:
    """Listens on the event loop that calls ``start``."""

    def __init__(self, api: OpenAiApi, settings: OpenAiSettings, gate: AccessGate | None = None) -> None:
        """``gate``: who may ask what; None: everybody everything."""
        self._gate = gate
        self._api = api
        self._port = ListeningPort(
            self._answer,
            settings.address,
            settings.port or 0,
            max_connections=MAX_CONNECTIONS,
            handler_cancellation=True,
            auto_decompress=False,
        )

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        await self._port.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port.port

    async def stop(self) -> None:
        """Closes the port and the connections."""
        await self._port.stop()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._gate is not None and (refused := refusal(self._gate, request)) is not None:
            return refused
        if not self._api.serves(request.raw_path.partition("?")[0]):
            return error_answer(404, "Not Found")
        return await self._api.answer(request)
