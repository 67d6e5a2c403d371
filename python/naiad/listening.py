"""A port that aiohttp answers on: bounded, and silent about what clients do wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEAD_TIMEOUT_S = 10.0
"""For the first request of a connection."""
# aiohttp logs every malformed request with a traceback; a client could fill the disk with that.
_SILENT = logging.getLogger("naiad.connections")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class ListeningPort:
    """Serves requests that ``answer`` answers. The thread of the event loop that calls ``start``."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        address: str,
        port: int,
        *,
        max_connections: int,
        **options: Any,
    ) -> None:
        """``port`` 0 takes a free one. What comes beyond ``max_connections`` is closed at once. ``options``:
        of aiohttp's RequestHandler.
        """
        self._address = address
        self._port = port
        self._server = _Connections(
            answer, max_connections=max_connections, access_log=None, logger=_SILENT, **options
        )
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        self._runner = web.ServerRunner(self._server, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port).start()

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


class _Connections(web.Server):
    """aiohttp's server, which serves so many connections and no more."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        max_connections: int,
        **options: Any,
    ) -> None:
        super().__init__(answer, **options)
        self.max_connections = max_connections

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One of them."""

    __slots__ = ("_deadline",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        server = self._manager
        if isinstance(server, _Connections) and len(server.connections) > server.max_connections:
            self.force_close()
            return
        self._deadline = self._loop.call_later(HEAD_TIMEOUT_S, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        # It has asked nothing so far.
        if self._request_count == 0 and self._current_request is None:
            self.force_close()
