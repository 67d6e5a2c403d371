"""The bridge over a plane of fakes."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from naiad.handlers import bridge
from naiad.handlers.bridge import Bridge


class Call:
    pass


class Message:
    call = 1
    message = b"m"


class Cancel:
    call = 2


class FakePlane:
    """Leaves what the test puts."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.left: list[Any] = []

    def fileno(self) -> int:
        return self.read_end

    def leave(self, *items: Any) -> None:
        self.left += items
        os.write(self.write_end, b"x")

    def take(self) -> list[Any]:
        os.read(self.read_end, 100)
        items, self.left = self.left, []
        return items


class Taken:
    """Notes what it is given, as servers of HTTP and gRPC."""

    def __init__(self) -> None:
        self.items: list[tuple[Any, ...]] = []

    def accept(self, fd: int) -> None:
        self.items.append(("accept", fd))

    def begin(self, wire: Any) -> None:
        self.items.append(("begin", wire))

    def deliver(self, number: int, message: bytes | None) -> None:
        self.items.append(("deliver", number, message))

    def cancel(self, number: int) -> None:
        self.items.append(("cancel", number))


def test_each_goes_to_its_server_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "ControlCall", Call)
    monkeypatch.setattr(bridge, "ControlMessage", Message)
    plane, taken, call = FakePlane(), Taken(), Call()

    async def main() -> None:
        reader = Bridge(plane, taken, taken)  # type: ignore[arg-type]
        reader.open()
        plane.leave(7, call, Message(), Cancel())
        async with asyncio.timeout(30):
            while len(taken.items) < 4:
                await asyncio.sleep(0)
        reader.close()
        reader.close()
        plane.leave(8)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert taken.items == [("accept", 7), ("begin", call), ("deliver", 1, b"m"), ("cancel", 2)]
    os.close(plane.read_end)
    os.close(plane.write_end)
