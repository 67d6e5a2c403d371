"""The metrics port: GET /metrics, and the dashboard."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS

from naiad.access.refusal import refusal
from naiad.access.routes import METRICS_ROUTES
from naiad.engine import AccessGate
from naiad.listening import ListeningPort
from naiad.metrics.families import exposition, openmetrics
from naiad.settings import MetricsSettings

_METRICS = "/metrics"
_PLAIN = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 100
"""The next one is closed at once."""


class OtherApi(Protocol):
    """What is served beside the metrics."""

    def serves(self, path: str) -> bool: ...
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse: ...


class MetricsEdge(ListeningPort):
    """Listens for scrapes, and for who looks at the dashboard."""

    def __init__(
        self,
        registry: CollectorRegistry,
        settings: MetricsSettings,
        gate: AccessGate | None = None,
        dashboard: OtherApi | None = None,
    ) -> None:
        """``gate``: who may ask what; None: everybody everything."""
        self._registry = registry
        self._gate = gate
        self._dashboard = dashboard
        super().__init__(
            self._answer,
            settings.address,
            settings.port,
            max_connections=MAX_CONNECTIONS,
            handler_cancellation=True,
            auto_decompress=False,
        )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # For each path, also those that do not exist.
        if self._gate is not None and (refused := refusal(self._gate, request)) is not None:
            return web.json_response({"error": refused.words}, status=refused.status, headers=refused.headers)
        path = request.raw_path.partition("?")[0]
        if self._dashboard is not None and self._dashboard.serves(path):
            return await self._dashboard.answer(request)
        if request.path != _METRICS:
            return web.Response(status=404, text="404: Not Found")
        methods = METRICS_ROUTES[_METRICS][1]
        if request.method not in methods:
            allowed = ", ".join(methods)
            return web.Response(status=405, text="405: Method Not Allowed", headers={"Allow": allowed})
        # NVML may take milliseconds, which the event loop does not have.
        has_exemplars = _asks_for_openmetrics(request)
        write, kind = (openmetrics, OPENMETRICS) if has_exemplars else (exposition, _PLAIN)
        text = await asyncio.to_thread(lambda: write(self._registry.collect()))
        return web.Response(body=text, headers={"Content-Type": kind, "Vary": "Accept"})


def _asks_for_openmetrics(request: web.BaseRequest) -> bool:
    # prometheus_client's own reading of the field fails at versions that are no numbers.
    for accepted in ",".join(request.headers.getall("Accept", ())).lower().split(","):
        kind, *parameters = (part.strip() for part in accepted.split(";"))
        versions = [each for each in parameters if each.startswith("version=")]
        if kind == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            return True
    return False
