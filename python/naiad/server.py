"""The server process: builds everything, starts the edges, stops in order. The file to read first.

::

    build_core          tensor pool, engine, backends, model repository (composition.py)
      Gates             who may ask what, on each port (access/)
      DataPlane         the I/O threads of the core: HTTP and gRPC, inference without Python
      ControlPlane      what the API does apart from inference
        HttpControl  Calls   what the data plane sends over the Bridge
        OpenAiService  the OpenAI-compatible API, under the HTTP port and one of its own
        CertificateWatch  renewed certificates for new connections
        MetricsEdge
        Dashboard      the page under /ui of its port

The I/O threads own the ports; everything here runs on one event loop; models run on threads of the core. To
stop: the server says that it is not ready, and serves on for a while where that is asked for; then it takes
no more inference requests; those in flight finish, while health and metrics are still answered; then the
ports close and the models end. A second signal ends the process at once. SIGHUP has renewed certificates
and API keys taken, where there are any.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence

import uvloop

from naiad import engine as core
from naiad import logs
from naiad.access.exposure import warn_of_open_ports
from naiad.access.gates import Gates
from naiad.audience import Audience, Silent
from naiad.backends.python.log_level import level_of_workers
from naiad.backends.python.metric_family import read_families
from naiad.certificates import CertificateWatch
from naiad.composition import Core, build_core, memory_share_bytes
from naiad.draining import CLOSE_TIMEOUT_S, Busy, drain
from naiad.errors import NaiadError, Unavailable
from naiad.grpc.calls import Calls
from naiad.grpc.methods import control_methods
from naiad.handlers.bridge import Bridge
from naiad.handlers.control import ControlPlane
from naiad.handlers.log_settings import LogControl
from naiad.http.control import HttpControl
from naiad.logs import log
from naiad.metrics.edge import MetricsEdge
from naiad.metrics.loads import LoadReadings
from naiad.metrics.machine import gpu_collector
from naiad.metrics.registry import Readings, server_registry
from naiad.metrics.stores import StoreCollector
from naiad.openai.service import OpenAiService
from naiad.repository.served import IndexEntry
from naiad.settings import (
    GrpcSettings,
    HttpSettings,
    LogSettings,
    ServerSettings,
    TlsSettings,
)
from naiad.tracing.service import Tracing
from naiad.ui.dashboard import Dashboard
from naiad.ui.figures import Figures
from naiad.ui.fleet import Fleet
from naiad.ui.trial import Trials

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PROCESSORS_PER_IO_THREAD = 8
# Its own, and the two ends of its way to the control plane.
_DESCRIPTORS_PER_CONNECTION = 3
_OTHER_DESCRIPTORS = 1024
# Python models and the event loop share the GIL, and who waits for it waits up to this long. With the
# interpreter's own 5 ms a small Python model answered 9,400 requests/s at concurrency 32, with 0.5 ms 19,500,
# at less CPU for each.
_GIL_SWITCH_INTERVAL_S = 0.0005


class NetworkServer:
    """A server with its ports open. ``start`` and ``stop`` belong on one event loop."""

    def __init__(self, settings: ServerSettings, audience: Audience | None = None) -> None:
        self._settings = settings
        self._audience = audience or Silent()
        self._core: Core | None = None
        self._control: ControlPlane | None = None
        self._plane: core.DataPlane | None = None
        self._http: HttpControl | None = None
        self._openai: OpenAiService | None = None
        self._calls: Calls | None = None
        self._bridge: Bridge | None = None
        self._certificates: CertificateWatch | None = None
        self._metrics: MetricsEdge | None = None
        self._tracing: Tracing | None = None
        self._gates: Gates | None = None
        self._dashboard: Dashboard | None = None

    async def start(self) -> None:
        """Loads the models, then opens the ports. Raises NaiadError, OSError for the port of metrics."""
        # Before models are loaded, which may take long.
        for port in (self._settings.http, self._settings.grpc):
            if port.enabled and port.tls is not None:
                await asyncio.to_thread(_tls_of(port.tls).check)
        gates = self._gates = await asyncio.to_thread(Gates, self._settings)
        warn_of_open_ports(self._settings)
        self._core = await asyncio.to_thread(build_core, self._settings)
        self._tracing = Tracing(self._settings.trace, core.Tracer(self._core.engine))
        self._tracing.start()
        try:
            with self._audience.loading(self._core.repository.index):
                await asyncio.to_thread(self._core.load_models)
        finally:
            index = await asyncio.to_thread(self._core.repository.index)
            _log_models(index)
        self._control = ControlPlane(
            self._core.repository,
            self._settings,
            self._core.shared_regions,
            LogControl(self._settings.log, configure_logs),
            self._tracing.control,
        )
        self._plane = _data_plane(self._core, self._settings, gates)
        self._openai = OpenAiService(
            self._core.engine, self._core.repository, self._core.settings, gates.openai
        )
        await self._openai.start()
        self._http = HttpControl(self._control, self._settings.http, [self._openai.api])
        self._calls = Calls(control_methods(self._control))
        self._bridge = Bridge(self._plane, self._http, self._calls)
        self._bridge.open()
        self._plane.start()
        self._certificates = CertificateWatch(_reloads(self._plane, self._settings))
        self._certificates.start()
        await self._log_ports(self._core, self._plane, gates)
        self._audience.serving(index, self._core.repository.loaded(), self._urls(self._plane))
        self._core.keep_up()

    async def stop(self) -> bool:
        """Ends everything in order. False: requests did not finish in time, and their models still run."""
        drained = True
        if self._certificates is not None:
            await self._certificates.stop()
        if self._control is not None and self._plane is not None:
            self._control.stopping = True
            if self._core is not None and self._core.watch is not None:
                self._core.watch.call_off()
            if self._settings.lame_duck_s > 0:
                log.info("Not ready any more; all is served for %g s", self._settings.lame_duck_s)
                await asyncio.sleep(self._settings.lame_duck_s)
            others: list[Busy] = [each for each in (self._openai, self._dashboard) if each is not None]
            if self._openai is not None:
                self._openai.refuse()
            drained = await drain(self._plane, others, self._settings.exit_timeout_s)
            await asyncio.to_thread(self._plane.stop)
        if self._calls is not None:
            await self._calls.stop(CLOSE_TIMEOUT_S)
        if self._http is not None:
            await self._http.stop(CLOSE_TIMEOUT_S)
        if self._openai is not None:
            await self._openai.stop()
        if self._metrics is not None:
            await self._metrics.stop()
        if self._bridge is not None:
            self._bridge.close()
        # A model that did not answer in time cannot be waited for; the process ends with it.
        if self._core is not None and drained:
            await asyncio.to_thread(self._core.close)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.stop)
        return drained

    def renew(self) -> None:
        """Looks at the files of TLS and of API keys now."""
        if self._certificates is not None:
            self._certificates.ask()
        if self._gates is not None and self._gates.keys is not None:
            self._renewal = asyncio.get_running_loop().run_in_executor(None, self._gates.keys.reload)

    async def _log_ports(self, built: Core, plane: core.DataPlane, gates: Gates) -> None:
        settings = self._settings
        if settings.grpc.enabled:
            log.info("Started GRPCInferenceService at %s:%d", settings.grpc.address, plane.grpc_port)
            _log_tls("GRPCInferenceService", settings.grpc.tls)
        if settings.http.enabled:
            log.info("Started HTTPService at %s:%d", settings.http.address, plane.http_port)
            _log_tls("HTTPService", settings.http.tls)
        if self._openai is not None and self._openai.port is not None:
            log.info("Started OpenAI Service at %s:%d", settings.openai.address, self._openai.port)
        if settings.metrics.enabled:
            gpus = await asyncio.to_thread(gpu_collector) if settings.metrics.gpu else None
            readings = _readings(built, plane)
            if settings.metrics.dashboard:
                assert self._control is not None and self._openai is not None
                self._dashboard = Dashboard(
                    self._control,
                    Fleet(self._control, built.repository, settings, lambda: self._urls(plane)),
                    Figures(readings, gpus),
                    Trials(built.engine),
                    self._openai.api,
                    settings,
                    gates.metrics,
                )
            metrics_edge = MetricsEdge(
                server_registry(readings, settings.metrics, gpus),
                settings.metrics,
                gates.metrics,
                self._dashboard,
            )
            await metrics_edge.start()
            self._metrics = metrics_edge
            log.info("Started Metrics Service at %s:%d", settings.metrics.address, metrics_edge.port)

    def _urls(self, plane: core.DataPlane) -> dict[str, str]:
        settings, urls = self._settings, {}
        if settings.http.enabled:
            scheme = "http" if settings.http.tls is None else "https"
            urls["HTTP"] = f"{scheme}://{_reachable(settings.http.address)}:{plane.http_port}"
        if settings.grpc.enabled:
            urls["gRPC"] = f"{_reachable(settings.grpc.address)}:{plane.grpc_port}"
        if self._metrics is not None:
            metrics = f"http://{_reachable(settings.metrics.address)}:{self._metrics.port}"
            urls["Metrics"] = f"{metrics}/metrics"
            if self._dashboard is not None:
                urls["Dashboard"] = f"{metrics}/ui/"
        return urls


def _log_models(index: Sequence[IndexEntry]) -> None:
    rows = [
        (row.name, row.version or "-", row.state + (f": {row.reason}" if row.reason else "")) for row in index
    ]
    log.info("Models", extra={"table": logs.table(("Model", "Version", "Status"), rows)})


def _readings(built: Core, plane: core.DataPlane) -> Readings:
    store = built.response_store
    return Readings(
        loaded=built.repository.loaded,
        families=read_families,
        pool=built.engine.usage,
        gpu_pools=built.engine.gpu_usage,
        cache=built.engine.cache_usage,
        connections=plane.usage,
        answered=plane.answered,
        loads=LoadReadings(built.repository.entries, built.repository.budget.limit_bytes, built.num_parked),
        store=None
        if store is None
        else StoreCollector(store.failures, store.queue.counts, built.engine.spoiled_entries),
    )


def _reachable(address: str) -> str:
    """Where a client on this machine finds a port that listens on ``address``."""
    if address in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{address}]" if ":" in address else address


def _tls_of(tls: TlsSettings) -> core.Tls:
    return core.Tls(
        certificate_chain=str(tls.certificate_chain),
        key=str(tls.key),
        client_roots="" if tls.client_roots is None else str(tls.client_roots),
    )


def _reloads(plane: core.DataPlane, settings: ServerSettings) -> dict[str, Callable[[], bool]]:
    reloads: dict[str, Callable[[], bool]] = {}
    if _has_tls(settings.http):
        reloads["HTTPService"] = plane.reload_http_tls
    if _has_tls(settings.grpc):
        reloads["GRPCInferenceService"] = plane.reload_grpc_tls
    return reloads


def _has_tls(port: HttpSettings | GrpcSettings) -> bool:
    return port.enabled and port.tls is not None


def _log_tls(service: str, tls: TlsSettings | None) -> None:
    if tls is not None:
        clients = "" if tls.client_roots is None else "; clients have to show a certificate"
        log.info("%s uses TLS%s", service, clients)


def _listen(port: HttpSettings | GrpcSettings, gate: core.AccessGate) -> core.Listen | None:
    if not port.enabled:
        return None
    tls = None if port.tls is None else _tls_of(port.tls)
    return core.Listen(
        port.address,
        port.port,
        reuse_port=port.reuse_port,
        tls=tls,
        header_forward=port.header_forward,
        gate=gate,
    )


def _data_plane(built: Core, settings: ServerSettings, gates: Gates) -> core.DataPlane:
    http, grpc, io = settings.http, settings.grpc, settings.io
    return core.DataPlane(
        built.engine,
        http=_listen(http, gates.http),
        grpc=_listen(grpc, gates.grpc),
        io_threads=io.threads or default_io_threads(),
        io_spin_us=io.spin_us,
        max_connections=io.max_connections,
        max_http_message_bytes=http.max_input_size_bytes,
        max_in_flight_bytes=io.max_in_flight_bytes or memory_share_bytes(),
        grpc_keepalive_time_ms=grpc.keepalive_time_ms,
        grpc_keepalive_timeout_ms=grpc.keepalive_timeout_ms,
        access_log=settings.log.access,
    )


def default_io_threads() -> int:
    """One for every eight processors this process may use: the others are for the models."""
    return max(1, len(os.sched_getaffinity(0)) // _PROCESSORS_PER_IO_THREAD)


async def run(settings: ServerSettings, audience: Audience | None = None) -> int:
    """Serves until SIGINT or SIGTERM; gives the exit status of the process."""
    stopping = asyncio.Event()
    audience = audience or Silent()

    def on_signal() -> None:
        if stopping.is_set():
            log.error("Second signal: ending at once")
            audience.ending()
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    server = NetworkServer(settings, audience)
    # Elsewhere it ends the process, as ever.
    if _has_tls(settings.http) or _has_tls(settings.grpc) or settings.access.needs_keys:
        loop.add_signal_handler(signal.SIGHUP, server.renew)
    try:
        await server.start()
    except (NaiadError, OSError) as error:
        log.error("creating server: %s", error)
        audience.failed(error)
        await server.stop()
        return 1
    await stopping.wait()
    if not await server.stop():
        log.error("Exiting immediately")
        audience.ending()
        os._exit(1)
    return 0


def _allow_descriptors(max_connections: int) -> None:
    """Asks the system for the file descriptors that the connections may need, and says if it gives fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections * _DESCRIPTORS_PER_CONNECTION + _OTHER_DESCRIPTORS
    given = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < given:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
        soft = given
    if soft != resource.RLIM_INFINITY and soft < max_connections:
        log.warning("%d connections are allowed, but only %d file descriptors", max_connections, soft)


def configure_logs(settings: LogSettings) -> None:
    """Has Python's lines, the core's and those of workers follow ``settings``.

    Raises Unavailable when the log file cannot be written.
    """
    try:
        logs.configure(settings)
    except OSError as error:
        raise Unavailable(f"the log file cannot be written: {error.strerror}") from error
    core.set_log(
        info=settings.info,
        warning=settings.warning,
        error=settings.error,
        verbose=settings.verbose,
        form=settings.format,
        file="" if settings.file is None else str(settings.file),
    )
    level_of_workers().set(logs.least_level(settings))


def serve(settings: ServerSettings, audience: Audience | None = None) -> int:
    """Runs a server in this process until a signal ends it; gives the exit status."""
    try:
        configure_logs(settings.log)
    except Unavailable as error:
        print(f"naiad: {error}", file=sys.stderr)
        return 1
    sys.setswitchinterval(_GIL_SWITCH_INTERVAL_S)
    _allow_descriptors(settings.io.max_connections)
    return uvloop.run(run(settings, audience))
