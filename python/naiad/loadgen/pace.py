"""When requests of an open loop are due."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator

from naiad.loadgen.scenario import Distribution, Scenario


def due_times(rate: float, distribution: Distribution, seed: int, start_s: float) -> Iterator[float]:
    """Without an end: on average ``rate`` in a second."""
    chance = random.Random(seed)
    due = start_s
    while True:
        due += chance.expovariate(rate) if distribution == "poisson" else 1 / rate
        yield due


async def moments(scenario: Scenario) -> AsyncIterator[None]:
    """Waits until each request is due; those that are late come at once."""
    for due_s in due_times(scenario.rate, scenario.distribution, scenario.seed, time.monotonic()):
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        yield
