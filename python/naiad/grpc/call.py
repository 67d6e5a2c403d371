"""One gRPC call that Python handles, as the coroutine that answers it sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from naiad.errors import Internal


class WireCall(Protocol):
    """What the core gives of a call: ``naiad.engine.ControlCall``."""

    @property
    def number(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def metadata(self) -> Sequence[tuple[str, bytes]]: ...
    def read(self) -> None: ...
    def write(self, message: bytes) -> None: ...
    def finish(self, status: int, message: str) -> None: ...


class Call:
    """Messages of one call, both ways. The event loop's thread."""

    def __init__(self, wire: WireCall) -> None:
        self._wire = wire
        self._reading: asyncio.Future[bytes | None] | None = None

    async def read(self) -> bytes | None:
        """The client's next message; None when it sends no more. One reader at a time."""
        self._reading = asyncio.get_running_loop().create_future()
        self._wire.read()
        return await self._reading

    def deliver(self, message: bytes | None) -> None:
        """What the core has read."""
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(message)

    def write(self, message: bytes) -> None:
        """Sends one message. It does not wait: the core holds what the client does not take yet."""
        self._wire.write(message)


Method = Callable[[Call], Coroutine[Any, Any, None]]
"""Answers a call; what it raises of naiad.errors becomes the call's status."""

Unary = Callable[[bytes], Awaitable[bytes]]


def unary(answer: Unary) -> Method:
    """The method which answers one message with one message."""

    async def method(call: Call) -> None:
        message = await call.read()
        if message is None:
            raise Internal("the call has no request message")
        call.write(await answer(message))

    return method
