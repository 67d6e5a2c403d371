"""When requests of an open loop are due."""

from __future__ import annotations

import random
from collections.abc import Iterator

from naiad.loadgen.scenario import Distribution


def due_times(rate: float, distribution: Distribution, seed: int, start_s: float) -> Iterator[float]:
    """Without an end: on average ``rate`` in a second."""
    chance = random.Random(seed)
    due = start_s
    while True:
        due += chance.expovariate(rate) if distribution == "poisson" else 1 / rate
        yield due
