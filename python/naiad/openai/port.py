"""A port of its own for the OpenAI-compatible API."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from naiad.access.refusal import refusal
from naiad.engine import AccessGate
from naiad.http.answers import error_answer
from naiad.openai.api import OpenAiApi
from naiad.settings import OpenAiSettings

# aiohttp logs every malformed request with a traceback.
_SILENT = logging.getLogger("naiad.openai.connections")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class OpenAiPort:
    """Listens on the event loop that calls ``start``."""

    def __init__(self, api: OpenAiApi, settings: OpenAiSettings, gate: AccessGate | None = None) -> None:
        """``gate``: who may ask what; None: everybody everything."""
        self._gate = gate
        self._api = api
        self._settings = settings
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        server = web.Server(
            self._answer,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            logger=_SILENT,
        )
        self._runner = web.ServerRunner(server, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.address, self._settings.port).start()

    @property
    def port(self) -> int:
        """The port that is listened on: the one asked for, or what port 0 became."""
        assert self._runner is not None
        address: Any = self._runner.addresses[0]
        return int(address[1])

    async def stop(self) -> None:
        """Closes the port and the connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._gate is not None and (refused := refusal(self._gate, request)) is not None:
            return refused
        if not self._api.serves(request.raw_path.partition("?")[0]):
            return error_answer(404, "Not Found")
        return await self._api.answer(request)
