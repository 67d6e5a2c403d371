"""Which candidates are tried, on surfaces that are computed, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from naiad.cli.tune import read_counts, read_delays
from naiad.errors import InvalidArgument
from naiad.tuning.candidate import Candidate, Space
from naiad.tuning.ladder import Ladder
from naiad.tuning.outcome import Limits, Load, Outcome, chosen, front
from naiad.tuning.search import brute, quick

SPACE = Space((1, 2, 3, 4), (1, 2, 4, 8, 16), (0, 100, 1000))
FREE = Limits()


def outcome(candidate: Candidate, per_second: float, p99_ms: float = 1, memory: int = 1) -> Outcome:
    return Outcome(candidate, (Load(1, per_second, p99_ms / 2, p99_ms, 1),), memory)


def surface(candidate: Candidate) -> Outcome:
    """Batches help, up to three instances do, waiting does not; each instance takes a byte."""
    rate = 100 * min(candidate.instances, 3) * candidate.max_batch_size**0.5
    if candidate.delay_us:
        rate /= 1 + candidate.delay_us / 1000
    return outcome(candidate, rate, candidate.max_batch_size * 1.5, candidate.instances)


def test_all_are_tried_once() -> None:
    tried: list[Candidate] = []

    def attempt(candidate: Candidate) -> Outcome:
        tried.append(candidate)
        return surface(candidate)

    assert len(brute(SPACE, attempt)) == len(set(tried)) == len(SPACE.all()) == 4 * (1 + 4 * 3)


@pytest.mark.parametrize("start", [Candidate(1, 1, None), Candidate(4, 16, 1000), Candidate(1, 12, 500)])
def test_the_walk_comes_to_the_top_with_fewer_tries(start: Candidate) -> None:
    tried: list[Candidate] = []

    def attempt(candidate: Candidate) -> Outcome:
        tried.append(candidate)
        return surface(candidate)

    outcomes = quick(SPACE, start, FREE, attempt)
    assert len(tried) == len(set(tried)) < len(SPACE.all()) / 2
    assert tried[0] == start, "how it runs now is measured too"
    best = chosen(outcomes, FREE)
    assert best is not None and best.candidate == Candidate(3, 16, 0)


def test_the_walk_finds_its_way_back_within_the_limits() -> None:
    limits = Limits(p99_ms=7)
    best = chosen(quick(SPACE, Candidate(1, 16, 0), limits, surface), limits)
    assert best is not None and best.candidate == Candidate(3, 4, 0)


def test_what_does_not_run_is_walked_around() -> None:
    def attempt(candidate: Candidate) -> Outcome:
        if candidate.max_batch_size > 4:
            return Outcome(candidate, failure="the engine takes 4 rows")
        return surface(candidate)

    best = chosen(quick(SPACE, Candidate(1, 8, 0), FREE, attempt), FREE)
    assert best is not None and best.candidate == Candidate(3, 4, 0)
    assert chosen([Outcome(Candidate(1, 1, None), failure="no")], FREE) is None


def test_limits_are_kept() -> None:
    one = Outcome(Candidate(1, 1, None), (Load(1, 100, 1, 2, 1), Load(2, 180, 3, 9, 1)), 500)
    best = one.best(Limits(p99_ms=5))
    assert best is not None and best.per_second == 100
    assert one.best(Limits(memory_bytes=499)) is None
    assert one.why_not(Limits(memory_bytes=499)) == "takes 0.00 GB"
    assert one.best(Limits(p99_ms=1)) is None and one.why_not(Limits(p99_ms=1)) == "p99 2.0 ms at best"
    failing = Outcome(Candidate(1, 1, None), (Load(1, 100, 1, 1, 1, errors=3),))
    assert failing.best(FREE) is None and failing.why_not(FREE) == "requests failed"


def test_the_front_is_what_nothing_beats() -> None:
    fast = outcome(Candidate(2, 8, 0), 200, 10, 200)
    slow = outcome(Candidate(1, 8, 0), 100, 5, 100)
    beaten = outcome(Candidate(2, 4, 0), 90, 6, 200)
    assert front([beaten, slow, fast], FREE) == [fast, slow]
    assert front([beaten, slow, fast], Limits(p99_ms=7)) == [slow]
    twin = outcome(Candidate(3, 8, 0), 200, 10, 200)
    assert set(front([fast, twin], FREE)) == {fast, twin}


def test_noise_does_not_buy_instances() -> None:
    few = outcome(Candidate(1, 8, 0), 99, 5, 100)
    many = outcome(Candidate(4, 8, 0), 100, 4, 400)
    assert chosen([many, few], FREE) is few
    assert chosen([many, outcome(Candidate(1, 8, 0), 90)], FREE) is many


def served(*rates: float) -> Callable[[int], Load]:
    levels = iter(rates)
    return lambda concurrency: Load(concurrency, next(levels), concurrency, concurrency, 1)


def test_load_grows_until_more_is_not_served() -> None:
    loads = Ladder(1, 64).climb(FREE, served(100, 190, 195, 196, 1))
    assert [load.concurrency for load in loads] == [1, 2, 4, 8]
    loads = Ladder(2, 8).climb(FREE, served(100, 200, 400, 1))
    assert [load.concurrency for load in loads] == [2, 4, 8]


def test_load_stops_beyond_the_limit_or_at_failures() -> None:
    loads = Ladder(1, 64).climb(Limits(p99_ms=3), served(1, 2, 4, 8, 16))
    assert [load.p99_ms for load in loads] == [1, 2, 4, 8]
    loads = Ladder(1, 64).climb(FREE, lambda n: Load(n, 100 * n, 1, 1, 1, errors=int(n > 1)))
    assert [load.errors for load in loads] == [0, 1]


def test_values_on_the_command_line() -> None:
    assert read_counts("-", "4,1:3") == (1, 2, 3, 4)
    assert read_delays("100,off,0") == (None, 0, 100)
    for wrong in ("", "0", "a", "3:1", "1:9999", "1,,2", "-1"):
        with pytest.raises(InvalidArgument):
            read_counts("-", wrong)
    for wrong in ("", "-1", "1.5", "on"):
        with pytest.raises(InvalidArgument):
            read_delays(wrong)
