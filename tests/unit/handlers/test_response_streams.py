"""Waiting for the responses of a stream, on a real event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from naiad.handlers.response_streams import _Readable


@pytest.fixture
def event() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


async def take(reading: _Readable, event: int) -> None:
    while True:
        await reading.wait()
        try:
            os.eventfd_read(event)
        except BlockingIOError:
            continue
        return


def test_each_wait_ends_when_something_is_there(event: int) -> None:
    async def wait_often() -> None:
        reading = _Readable(event)
        for _ in range(5):
            asyncio.get_running_loop().call_later(0.001, os.eventfd_write, event, 1)
            await take(reading, event)
        reading.close()

    asyncio.run(wait_often())


def test_a_slow_reader_is_told_twice_and_not_for_ever(event: int) -> None:
    told = []

    class Counted(_Readable):
        def _tell(self) -> None:
            told.append(1)
            super()._tell()

    async def come_late() -> None:
        reading = Counted(event)
        os.eventfd_write(event, 1)
        await reading.wait()
        told.clear()
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(told) == 2
        # It is still there when somebody comes.
        await take(reading, event)
        reading.close()

    asyncio.run(come_late())
