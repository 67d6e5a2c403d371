"""The metrics server: GET /metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry

from naiad.access.refusal import refusal
from naiad.access.routes import METRICS_ROUTES
from naiad.engine import AccessGate
from naiad.metrics.families import exposition
from naiad.settings import MetricsSettings

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 100
"""Of those who scrape; the next one is closed at once."""
HEAD_TIMEOUT_S = 10.0
"""For the first request of a connection."""
# aiohttp logs every malformed request with a traceback; a client could fill the disk with that.
_SILENT = logging.getLogger("naiad.metrics.connections")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class MetricsEdge:
    """Listens for scrapes on the event loop that calls ``start``."""

    def __init__(
        self, registry: CollectorRegistry, settings: MetricsSettings, gate: AccessGate | None = None
    ) -> None:
        """``gate``: who may scrape; None: everybody."""
        self._registry = registry
        self._settings = settings
        self._gate = gate
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        server = _Connections(self._answer, access_log=None, logger=_SILENT)
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
        # For each path, also those that do not exist.
        if self._gate is not None and (refused := refusal(self._gate, request)) is not None:
            return refused
        if request.path not in METRICS_ROUTES:
            return web.Response(status=404, text="404: Not Found")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="405: Method Not Allowed", headers={"Allow": "GET, HEAD"})
        # NVML may take milliseconds, which the event loop does not have.
        text = await asyncio.to_thread(lambda: exposition(self._registry.collect()))
        return web.Response(body=text, headers={"Content-Type": _CONTENT_TYPE})


class _Connections(web.Server):
    """aiohttp's server, which serves so many connections and no more."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One of them."""

    __slots__ = ("_deadline",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        if len(self._manager.connections if self._manager else ()) > MAX_CONNECTIONS:
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
