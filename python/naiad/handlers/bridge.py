"""The bridge from the I/O threads of the core to the event loop: all that is not inference."""

from __future__ import annotations

import asyncio
from typing import Protocol

from naiad.engine import ControlCall, ControlMessage, DataPlane


class Connections(Protocol):
    """Who serves HTTP over a socket."""

    def accept(self, fd: int) -> None: ...


class Calls(Protocol):
    """Who answers gRPC calls."""

    def begin(self, wire: ControlCall) -> None: ...
    def deliver(self, number: int, message: bytes | None) -> None: ...
    def cancel(self, number: int) -> None: ...


class Bridge:
    """Takes what the I/O threads leave, on the event loop that opens it."""

    def __init__(self, plane: DataPlane, connections: Connections, calls: Calls) -> None:
        self._plane = plane
        self._connections = connections
        self._calls = calls
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Starts to listen on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._plane.fileno(), self._take)

    def close(self) -> None:
        """Stops listening. Idempotent."""
        if self._loop is not None:
            self._loop.remove_reader(self._plane.fileno())
            self._loop = None

    def _take(self) -> None:
        for item in self._plane.take():
            if isinstance(item, int):
                self._connections.accept(item)
            elif isinstance(item, ControlCall):
                self._calls.begin(item)
            elif isinstance(item, ControlMessage):
                self._calls.deliver(item.call, item.message)
            else:
                self._calls.cancel(item.call)
