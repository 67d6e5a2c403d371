"""The metrics server: GET /metrics."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CollectorRegistry

from naiad.access.refusal import refusal
from naiad.access.routes import METRICS_ROUTES
from naiad.engine import AccessGate
from naiad.listening import ListeningPort
from naiad.metrics.families import exposition
from naiad.settings import MetricsSettings

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 100
"""Of those who scrape; the next one is closed at once."""


class MetricsEdge(ListeningPort):
    """Listens for scrapes."""

    def __init__(
        self, registry: CollectorRegistry, settings: MetricsSettings, gate: AccessGate | None = None
    ) -> None:
        """``gate``: who may scrape; None: everybody."""
        self._registry = registry
        self._gate = gate
        super().__init__(self._answer, settings.address, settings.port, max_connections=MAX_CONNECTIONS)

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
