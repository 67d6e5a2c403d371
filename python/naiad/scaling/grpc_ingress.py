"""The methods that Ray Serve's gRPC proxies listen for; Serve imports these functions by name.

A proxy does not look into messages: they go to a replica as they came, and so do the answers.
"""

from __future__ import annotations

from typing import Any

import grpc

from naiad import protos

METHODS = {
    service: tuple(protos.pool.FindServiceByName(service).methods)
    for service in (protos.INFERENCE_SERVICE, protos.HEALTH_SERVICE)
}
"""Service -> descriptors of its methods."""


def add_inference_service(servicer: object, server: grpc.Server) -> None:
    """KServe's inference service with Triton's extensions. ``servicer``: not needed, Serve has its own."""
    del servicer
    _add(protos.INFERENCE_SERVICE, server)


def add_health_service(servicer: object, server: grpc.Server) -> None:
    """gRPC's own health service."""
    del servicer
    _add(protos.HEALTH_SERVICE, server)


def _add(service: str, server: grpc.Server) -> None:
    handlers = {method.name: _handler(method) for method in METHODS[service]}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _handler(method: Any) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Of bytes, both ways. Serve puts its own behavior in."""

    def routed(*_: object) -> Any:
        raise NotImplementedError(method.full_name)

    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(routed)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(routed)
    return grpc.unary_unary_rpc_method_handler(routed)
