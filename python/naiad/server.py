"""The server process: builds everything, starts the edges, stops in order. The file to read first.

::

    build_core          tensor pool, engine, backends, model repository (composition.py)
      ControlPlane      what the API does apart from inference
      DataPlane         inference requests of this event loop
        HttpEdge  GrpcEdge  MetricsEdge

Everything here runs on one event loop; models run on threads of the core. To stop: the server says that it is
not ready and takes no more inference requests; those in flight finish, while health and metrics are still
answered; then the ports close and the models end. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop
from prometheus_client import CollectorRegistry

from naiad import engine as core
from naiad import logs
from naiad.composition import Core, build_core
from naiad.errors import NaiadError
from naiad.grpc.edge import GrpcEdge
from naiad.handlers.control import ControlPlane
from naiad.handlers.dataplane import DataPlane
from naiad.http.edge import HttpEdge
from naiad.logs import log
from naiad.metrics.edge import MetricsEdge
from naiad.metrics.machine import CpuCollector, PoolCollector, gpu_collector
from naiad.metrics.models import ModelCollector
from naiad.settings import ServerSettings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Connections whose answers are written get this long to be read to their end.
_CLOSE_TIMEOUT_S = 2.0
# Python models and the event loop share the GIL, and who waits for it waits up to this long. With the
# interpreter's own 5 ms a small Python model answered 9,400 requests/s at concurrency 32, with 0.5 ms 19,500,
# at less CPU for each.
_GIL_SWITCH_INTERVAL_S = 0.0005


class NetworkServer:
    """A server with its ports open. ``start`` and ``stop`` belong on one event loop."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._core: Core | None = None
        self._control: ControlPlane | None = None
        self._dataplane: DataPlane | None = None
        self._http: HttpEdge | None = None
        self._grpc: GrpcEdge | None = None
        self._metrics: MetricsEdge | None = None

    @property
    def ports(self) -> dict[str, int]:
        """The open ports by the name of their edge: http, grpc, metrics."""
        edges = {"http": self._http, "grpc": self._grpc, "metrics": self._metrics}
        return {name: edge.port for name, edge in edges.items() if edge is not None}

    async def start(self) -> None:
        """Loads the models, then opens the ports. Raises OSError for a port, NaiadError for a model."""
        self._core = await asyncio.to_thread(build_core, self._settings)
        try:
            await asyncio.to_thread(self._core.repository.load_all)
        finally:
            await asyncio.to_thread(self._log_models, self._core)
        self._control = ControlPlane(self._core.repository, self._settings, self._core.shared_regions)
        self._dataplane = DataPlane(self._core.engine)
        self._dataplane.open()
        await self._start_edges(self._core, self._control, self._dataplane)

    async def stop(self) -> bool:
        """Ends everything in order. False: requests did not finish in time, and their models still run."""
        drained = True
        if self._control is not None and self._dataplane is not None:
            self._control.stopping = True
            log.info("Stopping: %d requests in flight", self._dataplane.in_flight)
            drained = await self._dataplane.drain(self._settings.exit_timeout_s)
            if not drained:
                log.error("Exit timeout expired with %d requests in flight", self._dataplane.in_flight)
                self._dataplane.give_up()
        if self._grpc is not None:
            await self._grpc.stop(_CLOSE_TIMEOUT_S)
        if self._http is not None:
            await self._http.stop(_CLOSE_TIMEOUT_S)
        if self._metrics is not None:
            await self._metrics.stop()
        if self._dataplane is not None:
            self._dataplane.close()
        # A model that did not answer in time cannot be waited for; the process ends with it.
        if self._core is not None and drained:
            await asyncio.to_thread(self._core.close)
        return drained

    async def _start_edges(self, core: Core, control: ControlPlane, dataplane: DataPlane) -> None:
        settings = self._settings
        if settings.grpc.enabled:
            grpc_edge = GrpcEdge(control, dataplane, settings.grpc)
            await grpc_edge.start()
            self._grpc = grpc_edge
            log.info("Started GRPCInferenceService at %s:%d", settings.grpc.address, grpc_edge.port)
        if settings.http.enabled:
            http_edge = HttpEdge(control, dataplane, settings.http)
            await http_edge.start()
            self._http = http_edge
            log.info("Started HTTPService at %s:%d", settings.http.address, http_edge.port)
        if settings.metrics.enabled:
            metrics_edge = MetricsEdge(self._registry(core), settings.metrics)
            await metrics_edge.start()
            self._metrics = metrics_edge
            log.info("Started Metrics Service at %s:%d", settings.metrics.address, metrics_edge.port)

    def _registry(self, core: Core) -> CollectorRegistry:
        settings = self._settings.metrics
        # auto_describe off: registering must not take a reading.
        registry = CollectorRegistry(auto_describe=False)
        registry.register(ModelCollector(core.repository.loaded, latencies=settings.counter_latencies))
        registry.register(PoolCollector(core.engine.usage))
        if settings.gpu:
            gpus = gpu_collector()
            if gpus is not None:
                registry.register(gpus)
        if settings.cpu:
            registry.register(CpuCollector(settings.interval_ms / 1000))
        return registry

    def _log_models(self, core: Core) -> None:
        rows = [
            (row.name, row.version or "-", row.state + (f": {row.reason}" if row.reason else ""))
            for row in core.repository.index()
        ]
        log.info("Models", extra={"table": logs.table(("Model", "Version", "Status"), rows)})


async def run(settings: ServerSettings) -> int:
    """Serves until SIGINT or SIGTERM; gives the exit status of the process."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            log.error("Second signal: ending at once")
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    server = NetworkServer(settings)
    try:
        await server.start()
    except (NaiadError, OSError) as error:
        log.error("creating server: %s", error)
        await server.stop()
        return 1
    await stopping.wait()
    if not await server.stop():
        log.error("Exiting immediately")
        os._exit(1)
    return 0


def serve(settings: ServerSettings) -> int:
    """Runs a server in this process until a signal ends it; gives the exit status."""
    try:
        logs.configure(settings.log)
    except OSError as error:
        print(f"naiad: the log file cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    core.set_log(
        info=settings.log.info,
        warning=settings.log.warning,
        error=settings.log.error,
        verbose=settings.log.verbose,
    )
    sys.setswitchinterval(_GIL_SWITCH_INTERVAL_S)
    return uvloop.run(run(settings))
