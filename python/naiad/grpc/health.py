"""grpc.health.v1. As on Triton, the name of the service does not matter: all of them are this server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from naiad import protos
from naiad.grpc.infer import Context
from naiad.handlers.control import ControlPlane

_SERVING = 1
_NOT_SERVING = 2
_WATCH_INTERVAL_S = 0.5


class HealthMethods:
    """Check, Watch and List."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control

    def handlers(self) -> dict[str, Any]:
        """Handlers by method name."""
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            "List": grpc.unary_unary_rpc_method_handler(self._list),
        }

    def _status(self) -> Any:
        return protos.HealthCheckResponse(status=_SERVING if self._control.ready() else _NOT_SERVING)

    async def _check(self, message: bytes, context: Context) -> bytes:
        return bytes(self._status().SerializeToString())

    async def _watch(self, message: bytes, context: Context) -> None:
        last: bytes | None = None
        while not context.done():
            now = bytes(self._status().SerializeToString())
            if now != last:
                await context.write(now)
                last = now
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def _list(self, message: bytes, context: Context) -> bytes:
        answer = protos.HealthListResponse()
        for service in ("", protos.INFERENCE_SERVICE):
            answer.statuses[service].CopyFrom(self._status())
        return bytes(answer.SerializeToString())
