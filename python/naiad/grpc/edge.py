"""The gRPC server."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from naiad import protos
from naiad.grpc.control import ControlMethods
from naiad.grpc.health import HealthMethods
from naiad.grpc.infer import InferMethods, infer_handlers
from naiad.handlers.control import ControlPlane
from naiad.handlers.dataplane import DataPlane
from naiad.settings import GrpcSettings

_MAX_MESSAGE_BYTES = 2**31 - 1


class GrpcEdge:
    """Listens for gRPC on the event loop that calls ``start``."""

    def __init__(self, control: ControlPlane, dataplane: DataPlane, settings: GrpcSettings) -> None:
        self._settings = settings
        self._services = {
            protos.INFERENCE_SERVICE: ControlMethods(control).handlers()
            | infer_handlers(InferMethods(dataplane)),
            protos.HEALTH_SERVICE: HealthMethods(control).handlers(),
        }
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Binds and listens. Raises OSError when the port is taken."""
        self._server = grpc.aio.server(options=_options(self._settings))
        self._server.add_generic_rpc_handlers((_Services(self._services),))
        names = (*self._services, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, protos.pool)
        address = _join(self._settings.address, self._settings.port)
        try:
            self._port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"Socket '{address}' already in use or not available") from error
        await self._server.start()

    @property
    def port(self) -> int:
        """The port that is listened on: the one asked for, or what port 0 became."""
        return self._port

    async def stop(self, timeout_s: float) -> None:
        """Takes no new calls, lets those under way end for ``timeout_s``, cancels the rest."""
        if self._server is not None:
            await self._server.stop(timeout_s)


class _Services(grpc.GenericRpcHandler):
    """Finds the handler of a method; None makes gRPC answer UNIMPLEMENTED."""

    def __init__(self, services: Mapping[str, Mapping[str, Any]]) -> None:
        self._handlers = {
            f"/{service}/{name}": handler
            for service, handlers in services.items()
            for name, handler in handlers.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.keepalive_time_ms", settings.keepalive_time_ms),
        ("grpc.keepalive_timeout_ms", settings.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", int(settings.keepalive_permit_without_calls)),
        ("grpc.http2.max_pings_without_data", settings.http2_max_pings_without_data),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            settings.http2_min_recv_ping_interval_without_data_ms,
        ),
        ("grpc.http2.max_ping_strikes", settings.http2_max_ping_strikes),
    ]
    if settings.max_connection_age_ms:
        options.append(("grpc.max_connection_age_ms", settings.max_connection_age_ms))
    if settings.max_connection_age_grace_ms:
        options.append(("grpc.max_connection_age_grace_ms", settings.max_connection_age_grace_ms))
    return options


def _join(address: str, port: int) -> str:
    try:
        socket.inet_pton(socket.AF_INET6, address)
    except OSError:
        return f"{address}:{port}"
    return f"[{address}]:{port}"
