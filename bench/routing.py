"""How requests should be spread over many replicas: a simulation of 1,000 of them, with a seed.

python bench/routing.py [--replicas 1000] [--requests 200000] [--seed 1] [--json FILE]

Requests come as a Poisson stream; each replica answers one after another, in a mean of 10 ms. For each way to
choose a replica the table shows p50 and p99 of the time to the answer, in ms. "overloaded": the slow
replicas get more than they can do, so their queues grow for as long as the load lasts.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from pathlib import Path

MEAN_S = 0.010
PROXIES = 8
SLOW_SHARE, SLOW_FACTOR = 0.05, 3.0


class Fleet:
    """Replicas with their queues, in simulated time."""

    def __init__(
        self, speeds: Sequence[float], ended: Callable[[int, int], None] = lambda replica, proxy: None
    ) -> None:
        """``speeds``: by how much each takes longer than the mean. ``ended``: told of each answer."""
        self.speeds = speeds
        self.lengths = [0] * len(speeds)
        self._free_at = [0.0] * len(speeds)
        self._ends: list[tuple[float, int, int]] = []
        self._ended = ended

    def __len__(self) -> int:
        return len(self.lengths)

    def advance(self, now: float) -> None:
        """Finishes what is finished by then."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            _, replica, proxy = heappop(ends)
            self.lengths[replica] -= 1
            self._ended(replica, proxy)

    def send(self, replica: int, now: float, work: float, proxy: int = 0) -> float:
        """Queues a request of a proxy; gives when it will be answered."""
        end = max(now, self._free_at[replica]) + work * self.speeds[replica]
        self._free_at[replica] = end
        self.lengths[replica] += 1
        heappush(self._ends, (end, replica, proxy))
        return end


class AtRandom:
    def choose(self, fleet: Fleet, draw: random.Random, proxy: int) -> int:
        return draw.randrange(len(fleet))

    def ended(self, replica: int, proxy: int) -> None:
        """Told of each answer."""


class RoundRobin(AtRandom):
    """One after another: of one balancer that sees all requests."""

    def __init__(self) -> None:
        self._next = -1

    def choose(self, fleet: Fleet, draw: random.Random, proxy: int) -> int:
        self._next = (self._next + 1) % len(fleet)
        return self._next


class ShorterOfTwo(AtRandom):
    """Two at random, asked how long their queues are."""

    def choose(self, fleet: Fleet, draw: random.Random, proxy: int) -> int:
        one, other = draw.randrange(len(fleet)), draw.randrange(len(fleet))
        return one if fleet.lengths[one] <= fleet.lengths[other] else other


class ShorterOfTwoRemembered(AtRandom):
    """The same without asking, as the proxies of Ray Serve: each goes by what a replica said when it last
    sent something there, less what has come back to it since.
    """

    def __init__(self, num_proxies: int, num_replicas: int) -> None:
        self._seen = [[0] * num_replicas for _ in range(num_proxies)]

    def choose(self, fleet: Fleet, draw: random.Random, proxy: int) -> int:
        seen = self._seen[proxy]
        one, other = draw.randrange(len(fleet)), draw.randrange(len(fleet))
        chosen = one if seen[one] <= seen[other] else other
        seen[chosen] = fleet.lengths[chosen] + 1
        return chosen

    def ended(self, replica: int, proxy: int) -> None:
        seen = self._seen[proxy]
        seen[replica] = max(0, seen[replica] - 1)


class ShortestOfAll(AtRandom):
    """Every queue known at every moment: the bound that nothing real reaches."""

    def choose(self, fleet: Fleet, draw: random.Random, proxy: int) -> int:
        start = draw.randrange(len(fleet))
        least = min(fleet.lengths)
        try:
            return fleet.lengths.index(least, start)
        except ValueError:
            return fleet.lengths.index(least)


def policies(num_replicas: int) -> dict[str, AtRandom]:
    return {
        "random": AtRandom(),
        "round robin": RoundRobin(),
        "shorter of two, remembered": ShorterOfTwoRemembered(PROXIES, num_replicas),
        "shorter of two, asked": ShorterOfTwo(),
        "shortest of all": ShortestOfAll(),
    }


@dataclass(frozen=True)
class Case:
    """What comes, and to whom."""

    name: str
    load: float
    """Work that comes, of what all replicas together can do."""
    slow: bool = False
    """One in twenty replicas takes three times as long."""
    sigma: float = 0.0
    """Of a log-normal service time; 0: exponential."""


CASES = (
    Case("load 0.5", 0.5),
    Case("load 0.8", 0.8),
    Case("load 0.95", 0.95),
    Case("load 0.8, long tail", 0.8, sigma=1.5),
    Case("load 0.7, 5% of replicas 3x slower", 0.7, slow=True),
)


@dataclass(frozen=True)
class Outcome:
    """Times to the answer in ms, of the second half of the requests."""

    case: str
    policy: str
    p50_ms: float
    p99_ms: float
    slow_load: float
    """Work that the slow replicas got, of what they can do; 0 where none is slow."""


def simulate(case: Case, name: str, policy: AtRandom, replicas: int, requests: int, seed: int) -> Outcome:
    draw = random.Random(f"{seed} {case.name}")
    picks = random.Random(f"{seed} {case.name} {name}")
    speeds = [1.0] * replicas
    if case.slow:
        for replica in range(int(replicas * SLOW_SHARE)):
            speeds[replica] = SLOW_FACTOR
    fleet = Fleet(speeds, policy.ended)
    rate = case.load * sum(1 / speed for speed in speeds) / MEAN_S
    now = 0.0
    times: list[float] = []
    slow_work = 0.0
    for _ in range(requests):
        now += draw.expovariate(rate)
        work = _work(case, draw)
        fleet.advance(now)
        proxy = picks.randrange(PROXIES)
        replica = policy.choose(fleet, picks, proxy)
        times.append(fleet.send(replica, now, work, proxy) - now)
        slow_work += work * speeds[replica] if speeds[replica] > 1 else 0.0
    late = sorted(times[requests // 2 :])
    num_slow = sum(speed > 1 for speed in speeds)
    return Outcome(
        case.name,
        name,
        1000 * late[len(late) // 2],
        1000 * late[min(len(late) - 1, math.ceil(len(late) * 0.99) - 1)],
        slow_work / (num_slow * now) if num_slow else 0.0,
    )


def _work(case: Case, draw: random.Random) -> float:
    if case.sigma == 0:
        return draw.expovariate(1 / MEAN_S)
    return draw.lognormvariate(math.log(MEAN_S) - case.sigma**2 / 2, case.sigma)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: a row for each way to choose, a column for each case."""
    cases = list(dict.fromkeys(one.case for one in outcomes))
    found = {(one.policy, one.case): one for one in outcomes}
    lines = ["| p50 / p99 in ms | " + " | ".join(cases) + " |", "|---|" + "---|" * len(cases)]
    for policy in dict.fromkeys(one.policy for one in outcomes):
        cells = [_cell(found[policy, case]) for case in cases]
        lines.append(f"| {policy} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(outcome: Outcome) -> str:
    shown = f"{outcome.p50_ms:.0f} / {outcome.p99_ms:.0f}"
    return f"{shown}, overloaded" if outcome.slow_load > 1 else shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    outcomes = []
    for case in CASES:
        for name, policy in policies(asked.replicas).items():
            print(f"{case.name}: {name}", file=sys.stderr)
            outcomes.append(simulate(case, name, policy, asked.replicas, asked.requests, asked.seed))
    print(table(outcomes))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1) + "\n")


if __name__ == "__main__":
    main()
