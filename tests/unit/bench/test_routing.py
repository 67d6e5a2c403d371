from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
from routing import (
    CASES,
    AtRandom,
    Case,
    Fleet,
    Outcome,
    RoundRobin,
    ShorterOfTwo,
    ShorterOfTwoRemembered,
    ShortestOfAll,
    policies,
    simulate,
    table,
)


def p99(case: Case, name: str, requests: int = 6000) -> float:
    return simulate(case, name, policies(50)[name], 50, requests, seed=3).p99_ms


def test_a_replica_answers_one_after_another() -> None:
    fleet = Fleet([1.0, 3.0])
    assert fleet.send(0, 0.0, 1.0) == 1.0
    assert fleet.send(0, 0.5, 1.0) == 2.0
    assert fleet.send(1, 0.5, 1.0) == 3.5
    assert fleet.lengths == [2, 1]
    fleet.advance(2.0)
    assert fleet.lengths == [0, 1]


def test_who_is_chosen() -> None:
    fleet, draw = Fleet([1.0] * 4), random.Random(1)
    turns = RoundRobin()
    assert [turns.choose(fleet, draw, 0) for _ in range(5)] == [0, 1, 2, 3, 0]
    for replica in (0, 1, 3):
        fleet.send(replica, 0.0, 1.0)
    assert ShortestOfAll().choose(fleet, draw, 0) == 2
    # Of two that differ it is never the one with the longest queue.
    fleet.send(3, 0.0, 1.0)
    two = ShorterOfTwo()
    assert {two.choose(fleet, draw, 0) for _ in range(200)} >= {0, 1, 2}
    assert sum(two.choose(fleet, draw, 0) == 3 for _ in range(1600)) < 200  # one in sixteen draws 3 twice


class Drawn(random.Random):
    """Gives these numbers in turn."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self._numbers = list(numbers)

    def randrange(self, *_: object) -> int:  # type: ignore[override]
        return self._numbers.pop(0)


def test_what_is_remembered_is_old() -> None:
    policy = ShorterOfTwoRemembered(2, 2)
    fleet = Fleet([1.0] * 2, policy.ended)
    # What is drawn are the two replicas.
    assert policy.choose(fleet, Drawn(0, 1), 0) == 0
    fleet.send(0, 0.0, 1.0, 0)
    # The first proxy knows of it, the other one does not.
    assert policy.choose(fleet, Drawn(0, 1), 1) == 0
    fleet.send(0, 0.0, 1.0, 1)
    assert policy.choose(fleet, Drawn(0, 1), 0) == 1
    # Both are answered; each proxy hears of its own, and the other's, of which it was told, it still counts.
    fleet.advance(5.0)
    assert fleet.lengths == [0, 0]
    assert policy._seen[0][0] == 0 and policy._seen[1][0] == 1


def test_the_same_seed_gives_the_same_times() -> None:
    once, again = (simulate(CASES[1], "random", AtRandom(), 20, 2000, seed=7) for _ in range(2))
    assert once == again
    assert simulate(CASES[1], "random", AtRandom(), 20, 2000, seed=8) != once


def test_two_choices_are_better_than_one_and_worse_than_all() -> None:
    case = Case("load 0.9", 0.9)
    assert p99(case, "shortest of all") < p99(case, "shorter of two, asked") < p99(case, "random")


def test_random_overloads_slow_replicas_and_two_choices_do_not() -> None:
    case = Case("slow", 0.7, slow=True)
    found = {
        name: simulate(case, name, policy, 60, 12_000, seed=1).slow_load
        for name, policy in policies(60).items()
    }
    assert found["random"] > 1.5 and found["round robin"] > 1.5
    assert found["shorter of two, asked"] < 1 and found["shortest of all"] < 1


def test_the_table_has_a_cell_for_each() -> None:
    text = table([Outcome("a", "p", 1.4, 9.6, 0.0), Outcome("b", "p", 1, 2, 1.2)])
    assert text.splitlines() == [
        "| p50 / p99 in ms | a | b |",
        "|---|---|---|",
        "| p | 1 / 10 | 1 / 2, overloaded |",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_mean_of_the_work_is_what_is_said(case: Case) -> None:
    from routing import MEAN_S, _work

    draw = random.Random(1)
    mean = sum(_work(case, draw) for _ in range(30_000)) / 30_000
    assert mean == pytest.approx(MEAN_S, rel=0.08)
