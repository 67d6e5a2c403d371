"""A whole naiad within a replica, on free ports of the loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from naiad.audience import Silent
from naiad.errors import Internal, NotReady, Unsupported
from naiad.repository.served import IndexEntry, LoadedVersion
from naiad.scaling.forward_http import HttpForwarder, WholeAnswer
from naiad.scaling.options import ReplicaSettings
from naiad.server import NetworkServer, configure_logs
from naiad.settings import (
    LOOPBACK,
    GrpcSettings,
    HttpSettings,
    MetricsSettings,
    RepositorySettings,
    SchedulingSettings,
    ServerSettings,
)

_PENDING = "nv_inference_pending_request_count"


class LocalServer:
    """Starts with ``start``, ends with ``stop``. One event loop."""

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        self._told = _Told()
        self._server_settings = server_settings(settings)
        self._server = NetworkServer(self._server_settings, self._told)
        self._known: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Loads the models, opens the ports. Raises NaiadError, of what replicas can not share too."""
        configure_logs(self._server_settings.log)
        try:
            await self._server.start()
            for version in self._told.served:
                self._check(version.config.to_json())
        except BaseException:
            await self._server.stop()
            raise

    async def stop(self) -> None:
        """Lets what is in flight finish, ends the models."""
        await self._server.stop()

    @property
    def http_url(self) -> str:
        return self._told.urls["HTTP"]

    @property
    def grpc_target(self) -> str:
        return self._told.urls["gRPC"]

    @property
    def metrics_url(self) -> str:
        return self._told.urls["Metrics"]

    async def is_live(self, http: HttpForwarder) -> bool:
        answer = await http.send("GET", "/v2/health/live")
        return answer.status == 200

    async def pending(self, metrics: HttpForwarder) -> float:
        """How many requests wait in the queues of all models. ``metrics``: to ``metrics_url``."""
        answer = await metrics.send("GET", "/metrics")
        if not isinstance(answer, WholeAnswer) or answer.status != 200:
            raise Internal(f"the metrics of the replica are not to be had: status {answer.status}")
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            if family.name == _PENDING
            for sample in family.samples
        )

    async def load(self, http: HttpForwarder, name: str) -> None:
        """Raises NotReady with the reason, Unsupported for a model that can not be loaded on demand."""
        answer = await _ask(http, "POST", f"/v2/repository/models/{quote(name, safe='')}/load", {})
        if answer.status != 200:
            raise NotReady(f"model '{name}' can not be loaded on demand: {_reason(answer)}")
        config = await _ask(http, "GET", f"/v2/models/{quote(name, safe='')}/config")
        try:
            self._check(json.loads(config.body))
        except Unsupported:
            await self.unload(http, name)
            raise

    async def unload(self, http: HttpForwarder, name: str) -> None:
        """Finishes its requests first. Raises Internal when it can not be unloaded."""
        answer = await _ask(http, "POST", f"/v2/repository/models/{quote(name, safe='')}/unload", {})
        if answer.status != 200:
            raise Internal(f"model '{name}' can not be unloaded: {_reason(answer)}")

    async def has(self, http: HttpForwarder, name: str) -> bool:
        """Whether a repository has a model of that name, loaded or not."""
        if name not in self._known:
            index = json.loads((await _ask(http, "POST", "/v2/repository/index", {})).body)
            self._known = frozenset(row["name"] for row in index)
        return name in self._known

    def _check(self, config: Mapping[str, Any]) -> None:
        """Raises Unsupported for a model that can not be served so."""
        name = config["name"]
        if self._settings.several and "sequence_batching" in config:
            raise Unsupported(
                f"model '{name}' keeps the state of sequences, and with several replicas the requests of one "
                "sequence go to different ones: deploy it in an application of its own with --replicas 1"
            )
        if self._settings.models_per_replica and "ensemble_scheduling" in config:
            raise Unsupported(
                f"model '{name}' is an ensemble, whose models can not come and go one by one: deploy it "
                "without --models-per-replica"
            )


def server_settings(settings: ReplicaSettings) -> ServerSettings:
    """All ports are free ones, and of the loopback but for that of metrics."""
    on_demand = settings.models_per_replica > 0
    polls = settings.poll_s is not None
    return ServerSettings(
        repository=RepositorySettings(
            model_repositories=settings.model_repositories,
            remote_repositories=settings.remote_repositories,
            backend_config=settings.backend_config,
            load_threads=settings.load_threads,
            control_mode="explicit" if on_demand else "poll" if polls else "none",
            poll_s=settings.poll_s or 15.0,
        ),
        http=HttpSettings(port=0, address=LOOPBACK, max_input_size_bytes=settings.max_input_size_bytes),
        grpc=GrpcSettings(port=0, address=LOOPBACK),
        metrics=MetricsSettings(port=0, address=settings.metrics_address or LOOPBACK),
        scheduling=SchedulingSettings(cache_bytes=settings.cache_bytes),
    )


class _Told(Silent):
    """Keeps where the ports are, and what is served at the start."""

    def __init__(self) -> None:
        self.urls: Mapping[str, str] = {}
        self.served: Sequence[LoadedVersion] = ()

    def serving(
        self, index: Sequence[IndexEntry], served: Sequence[LoadedVersion], urls: Mapping[str, str]
    ) -> None:
        self.urls, self.served = dict(urls), served


async def _ask(http: HttpForwarder, method: str, target: str, body: object = None) -> WholeAnswer:
    fields = [(b"Content-Type", b"application/json")]
    answer = await http.send(method, target, fields, b"" if body is None else json.dumps(body).encode())
    if not isinstance(answer, WholeAnswer):
        raise Internal(f"{target}: an answer of unknown length")
    return answer


def _reason(answer: WholeAnswer) -> str:
    try:
        return str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"


def run_on(loop: asyncio.AbstractEventLoop, work: Any) -> None:
    """Runs a coroutine on a loop of another thread, and waits for it. A loop that has ended runs nothing."""
    if loop.is_closed():
        work.close()
        return
    asyncio.run_coroutine_threadsafe(work, loop).result()
