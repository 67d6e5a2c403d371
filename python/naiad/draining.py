"""The end of a server's requests: no new ones, and time for those in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from naiad.engine import DataPlane
from naiad.logs import log

CLOSE_TIMEOUT_S = 2.0
"""Connections whose answers are written get this long to be read to their end."""
# How often it is looked whether the requests in flight have finished.
_LOOK_S = 0.01


class Busy(Protocol):
    """Who answers requests beside the data plane."""

    @property
    def num_in_flight(self) -> int: ...


async def drain(plane: DataPlane, others: Sequence[Busy], timeout_s: float) -> bool:
    """Lets what is in flight finish, closes the connections. False: not all did in time, and was told so."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    plane.refuse_inference()

    def in_flight() -> int:
        return plane.usage()["in_flight"] + sum(each.num_in_flight for each in others)

    log.info("Stopping: %d requests in flight", in_flight())
    # Only then do the ports close: who asks for the health meanwhile gets an answer.
    while in_flight() > 0 and loop.time() < end:
        await asyncio.sleep(_LOOK_S)
    if in_flight() == 0:
        # Beyond the time for inference: answers that are written get some to be read to their end.
        left_s = max(end - loop.time(), CLOSE_TIMEOUT_S)
        if not await asyncio.to_thread(plane.drain, left_s):
            log.warning("Closing %d connections that did not end", plane.usage()["open_connections"])
        return True
    log.error("Exit timeout expired with %d requests in flight", in_flight())
    plane.give_up()
    await asyncio.to_thread(plane.drain, CLOSE_TIMEOUT_S)
    return False
