"""Which candidates are tried: all, or those that a walk from the best so far comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from naiad.tuning.candidate import Candidate, Space
from naiad.tuning.outcome import ALIKE, Limits, Outcome

Try = Callable[[Candidate], Outcome]
_ROUNDS = 3


def brute(space: Space, attempt: Try) -> list[Outcome]:
    """Every candidate."""
    return [attempt(candidate) for candidate in space.all()]


def quick(space: Space, start: Candidate, limits: Limits, attempt: Try) -> list[Outcome]:
    """Changes one thing at a time as long as that serves more, until nothing does. Finds the best candidate
    where each thing helps, or does not, whatever the others are.
    """
    found: dict[Candidate, Outcome] = {}

    def score(candidate: Candidate) -> float:
        candidate = Space.canonical(candidate)
        if candidate not in found:
            found[candidate] = attempt(candidate)
        best = found[candidate].best(limits)
        if best is not None:
            return best.per_second
        # Where nothing keeps the limits, what comes closer is the way to go.
        fastest = found[candidate].least_p99_ms
        return -fastest if fastest else float("-inf")

    joined = min((delay for delay in space.delays_us if delay is not None), default=None)
    here = start
    there = score(here)
    for _ in range(_ROUNDS):
        before = here
        for name, values in _axes(space):
            for step in (1, -1):
                for value in _from(getattr(here, name), values, step):
                    candidate = replace(here, **{name: value})
                    if name == "max_batch_size" and here.delay_us is None:
                        candidate = replace(candidate, delay_us=joined)  # more rows come of joining alone
                    reached = score(candidate)
                    if not _is_more(reached, there):
                        break
                    here, there = candidate, reached
        if here == before:
            break
    return list(found.values())


def _axes(space: Space) -> Iterator[tuple[str, Sequence[Any]]]:
    yield "max_batch_size", space.batch_sizes
    yield "instances", space.instances
    yield "delay_us", space.delays_us


def _from(value: Any, values: Sequence[Any], step: int) -> Iterator[Any]:
    """Those after ``value`` on the way up or down."""

    def rank(one: Any) -> float:
        return -1 if one is None else one

    ordered = sorted(values, key=rank, reverse=step < 0)
    yield from (one for one in ordered if (rank(one) - rank(value)) * step > 0)


def _is_more(reached: float, there: float) -> bool:
    """By more than noise."""
    if reached == float("-inf") or there == float("-inf"):
        return reached > there
    return reached > there + ALIKE * abs(there)
