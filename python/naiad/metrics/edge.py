"""The metrics server: GET /metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from naiad.metrics.families import exposition
from naiad.settings import MetricsSettings

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsEdge:
    """Listens for scrapes on the event loop that calls ``start``."""

    def __init__(self, registry: CollectorRegistry, settings: MetricsSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
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

    async def _scrape(self, request: web.Request) -> web.Response:
        # NVML may take milliseconds, which the event loop does not have.
        text = await asyncio.to_thread(lambda: exposition(self._registry.collect()))
        return web.Response(body=text, headers={"Content-Type": _CONTENT_TYPE})
