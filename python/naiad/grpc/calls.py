"""The gRPC calls that Python handles: from the name of a method to what answers it, and to a status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from grpc import StatusCode

from naiad.access.routes import GRPC_ROUTES, KEY_NAME_FIELD
from naiad.errors import NaiadError
from naiad.grpc.call import Call, Method, WireCall
from naiad.grpc.errors import status_of
from naiad.logs import log

# What gRPC for Python says of a method that is not there.
_NO_METHOD = "Method not found!"


class Calls:
    """The calls under way, each a task of the event loop that they are begun on. No other thread."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """``methods``: "/package.Service/Method" -> what answers it."""
        self._methods = methods
        self._under_way: dict[int, tuple[Call, asyncio.Task[None]]] = {}

    def begin(self, wire: WireCall) -> None:
        """Answers a new call."""
        method = self._methods.get(wire.method)
        if method is None:
            wire.finish(_number(StatusCode.UNIMPLEMENTED), _NO_METHOD)
            return
        call = Call(wire)
        task = asyncio.get_running_loop().create_task(method(call))
        self._under_way[wire.number] = (call, task)
        task.add_done_callback(lambda task: self._end(wire, task))

    def deliver(self, number: int, message: bytes | None) -> None:
        """A message that a call has asked for; None: the client sends no more."""
        if (found := self._under_way.get(number)) is not None:
            found[0].deliver(message)

    def cancel(self, number: int) -> None:
        """The client has taken the call back, or is gone."""
        if (found := self._under_way.get(number)) is not None:
            found[1].cancel()

    async def stop(self, timeout_s: float) -> None:
        """Lets the calls under way end for ``timeout_s``, then ends them with CANCELLED."""
        if tasks := [task for _, task in self._under_way.values()]:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _end(self, wire: WireCall, task: asyncio.Task[None]) -> None:
        del self._under_way[wire.number]
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            status, message = StatusCode.CANCELLED, "the call was cancelled"
        elif error is None:
            status, message = StatusCode.OK, ""
        elif isinstance(error, NaiadError):
            status, message = status_of(error), error.message
        else:
            log.error("unexpected error in %s", wire.method, exc_info=error)
            status, message = StatusCode.INTERNAL, "internal error"
        if status is StatusCode.OK:
            _log_change(wire)
        wire.finish(_number(status), message)


def _log_change(wire: WireCall) -> None:
    # The core writes this field; a client's own does not come this far.
    key = next((value.decode() for name, value in wire.metadata if name == KEY_NAME_FIELD), "")
    _, changes = GRPC_ROUTES.get(wire.method, ("unknown", False))
    if key and changes:
        log.info("%s by API key '%s'", wire.method, key)


def _number(status: StatusCode) -> int:
    number: int = status.value[0]
    return number
