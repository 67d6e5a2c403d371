"""grpc.health.v1. As on Triton, the name of the service does not matter: all of them are this server."""

from __future__ import annotations

import asyncio
from typing import Any

from naiad import protos
from naiad.grpc.call import Call, Method, unary
from naiad.handlers.control import ControlPlane

_SERVING = 1
_NOT_SERVING = 2
_WATCH_INTERVAL_S = 0.5


class HealthMethods:
    """Check, Watch and List."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control

    def methods(self) -> dict[str, Method]:
        """Methods by name."""
        return {"Check": unary(self._check), "Watch": self._watch, "List": unary(self._list)}

    def _status(self) -> Any:
        return protos.HealthCheckResponse(status=_SERVING if self._control.ready() else _NOT_SERVING)

    async def _check(self, message: bytes) -> bytes:
        return bytes(self._status().SerializeToString())

    async def _watch(self, call: Call) -> None:
        await call.read()
        last: bytes | None = None
        # Until the client goes, which cancels this.
        while True:
            now = bytes(self._status().SerializeToString())
            if now != last:
                call.write(now)
                last = now
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def _list(self, message: bytes) -> bytes:
        answer = protos.HealthListResponse()
        for service in ("", protos.INFERENCE_SERVICE):
            answer.statuses[service].CopyFrom(self._status())
        return bytes(answer.SerializeToString())
