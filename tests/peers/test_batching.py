"""Dynamic batching, as both servers do it: sizes, order, policies, statistics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from .sides import Pair, Side, until

BATCHES = "batches"
ORDER = "order"
POLICIES = "queue policies"
STATISTICS = "statistics"

FULL = (503, "[request id: <id_unknown>] Exceeds maximum queue size")
LATE = (503, "Request timeout expired")


def behind_held(side: Side, model: str, requests: list[dict[str, Any]], *, wait_s: float = 0.0) -> list[Any]:
    """Status and error of requests that came, one after the other, while the model was at work; it goes on
    when they have waited ``wait_s``."""
    with side.held(model):
        answers = [side.add(model, **request) for request in requests]
        time.sleep(wait_s)
    results = [answer.result(60) for answer in answers]
    return [status if status == 200 else (status, body["error"]) for status, body in results]


def batches_behind_held(
    model: str, requests: list[dict[str, Any]], *, wait_s: float = 0.0
) -> Callable[[Side], list[list[int]]]:
    def scenario(side: Side) -> list[list[int]]:
        before = len(side.seen(model))
        assert behind_held(side, model, requests, wait_s=wait_s) == [200] * len(requests)
        return side.batches(model, before)

    return scenario


def answered_while_held(model: str, requests: list[dict[str, Any]]) -> Callable[[Side], list[Any]]:
    """The answers of requests that all get one while the model is at work."""

    def scenario(side: Side) -> list[Any]:
        with side.held(model):
            answers = [side.start(model, **request) for request in requests]
            return [(status, body.get("error")) for status, body in (each.result(60) for each in answers)]

    return scenario


def tags(*values: int) -> list[dict[str, Any]]:
    return [{"tag": value} for value in values]


@pytest.mark.parametrize(
    ("case", "model", "requests", "expected"),
    [
        ("7 wait, at most 4 together", "at_once", tags(*range(1, 8)), [[1, 2, 3, 4], [5, 6, 7]]),
        ("no dynamic batching", "plain", tags(1, 2, 3), [[1], [2], [3]]),
        ("6 wait, with a queue delay", "delayed", tags(*range(1, 7)), [[1, 2, 3, 4], [5, 6]]),
        ("3 wait, sizes 2 and 4 preferred", "preferred", tags(1, 2, 3), [[1, 2], [3]]),
        (
            "2, 1 and 2 rows, at most 4",
            "at_once",
            [{"tag": 1, "rows": 2}, {"tag": 2}, {"tag": 3, "rows": 2}],
            [[1, 2], [3]],
        ),
    ],
)
def test_batches(
    pair: Pair, case: str, model: str, requests: list[dict[str, Any]], expected: list[list[int]]
) -> None:
    pair.agree(BATCHES, case, batches_behind_held(model, requests), expected)


def test_a_delay_waits_for_company(pair: Pair) -> None:
    def scenario(side: Side) -> list[list[int]]:
        before = len(side.seen("delayed"))
        answers = [side.start("delayed", tag) for tag in (1, 2, 3)]
        assert [answer.result(60)[0] for answer in answers] == [200] * 3
        return [sorted(batch) for batch in side.batches("delayed", before)]

    pair.agree(BATCHES, "3 come to an idle model with a queue delay", scenario, [[1, 2, 3]])


def test_preferred_sizes(pair: Pair) -> None:
    pair.differ(
        BATCHES,
        "7 wait, sizes 2 and 4 preferred",
        batches_behind_held("preferred", tags(*range(1, 8))),
        naiad=[[1, 2, 3, 4], [5, 6], [7]],
        triton=[[1, 2, 3, 4, 5], [6, 7]],
        why="the documents: a preferred size. Triton's one more than the largest is its bug 8141",
    )


def test_look_ahead(pair: Pair) -> None:
    pair.differ(
        BATCHES,
        "of 4 that wait the third has another shape",
        batches_behind_held("at_once", [{"tag": 1}, {"tag": 2}, {"tag": 3, "width": 2}, {"tag": 4}]),
        naiad=[[1, 2, 4], [3]],
        triton=[[1, 2], [3], [4]],
        why="larger batches: the queue is looked through past a misfit, fair to the oldest",
    )


def test_priorities(pair: Pair) -> None:
    requests = [{"tag": i, "priority": p} for i, p in enumerate((3, 3, 0, 1, 9, 1), 1)]
    expected = [[4], [6], [3], [5], [1], [2]]
    pair.agree(ORDER, "priorities 3 3 0 1 9 1, default 2", batches_behind_held("levels", requests), expected)


def answered_past_a_held_one(model: str) -> Callable[[Side], list[int]]:
    """Which of two requests are answered while an earlier one is held on another instance, although the model
    has run them."""

    def scenario(side: Side) -> list[int]:
        before = len(side.seen(model))
        with side.held(model):
            answers = {}
            for tag in (1, 2):
                answers[tag] = side.start(model, tag)
                until(lambda tag=tag: [tag] in side.batches(model, before), f"{side.name} runs {tag}")
            if model == "unordered":
                until(lambda: all(each.done() for each in answers.values()), f"{side.name} answers")
            time.sleep(0.3)
            return [tag for tag, answer in answers.items() if answer.done()]

    return scenario


def test_preserved_order(pair: Pair) -> None:
    pair.agree(ORDER, "answered past one at work", answered_past_a_held_one("unordered"), [1, 2])
    pair.agree(ORDER, "the same, preserve_ordering", answered_past_a_held_one("ordered"), [])


def test_a_full_queue(pair: Pair) -> None:
    expected = [200, 200, FULL, FULL]
    pair.agree(
        POLICIES, "max_queue_size 2, 4 come", lambda side: behind_held(side, "bounded", tags(*range(1, 5))),
        expected,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "model", "requests"),
    [
        ("default time-out, REJECT", "rejects", [{"tag": 1}]),
        ("a shorter one of the request, override allowed", "rejects", [{"tag": 1, "timeout": 1000}]),
        ("a longer one, override allowed", "rejects", [{"tag": 1, "timeout": 60_000_000}]),
        ("a longer one, override not allowed", "fixed_time", [{"tag": 1, "timeout": 60_000_000}]),
    ],
)
def test_time_outs(pair: Pair, case: str, model: str, requests: list[dict[str, Any]]) -> None:
    pair.agree(POLICIES, case, answered_while_held(model, requests), [LATE])


def test_time_outs_without_a_default(pair: Pair) -> None:
    requests = [{"tag": 1}, {"tag": 2, "timeout": 1000}]
    why = "Triton can not shorten a default of 0, which its users miss; a client that gives a time means it"
    for case, model in (("no default, override allowed", "no_default"), ("no dynamic batching", "plain")):
        pair.differ(
            POLICIES,
            f"time-out of the request: {case}",
            lambda side, model=model: behind_held(side, model, requests, wait_s=0.3),
            naiad=[200, LATE],
            triton=[200, 200],
            why=why,
        )


def test_who_is_late_goes_last(pair: Pair) -> None:
    requests = [{"tag": 1, "timeout": 1000}, {"tag": 2}, {"tag": 3}]
    scenario = batches_behind_held("delays", requests, wait_s=0.1)
    pair.agree(POLICIES, "time-out with DELAY: 1 of 3 is late", scenario, [[2], [3], [1]])


def counted(model: str, run: Callable[[Side], object], *names: str) -> Callable[[Side], dict[str, int]]:
    """What is added to the counts of a model."""

    def scenario(side: Side) -> dict[str, int]:
        before = side.statistics(model)
        run(side)
        return {name: side.statistics(model)[name] - before[name] for name in names}

    return scenario


def test_statistics_of_batches(pair: Pair) -> None:
    def scenario(side: Side) -> dict[str, Any]:
        before = side.statistics("at_once")
        batches_behind_held("at_once", tags(1, 2, 3))(side)
        after = side.statistics("at_once")
        batches = {size: n - before["batches"].get(size, 0) for size, n in after.pop("batches").items()}
        added = {name: count - before[name] for name, count in after.items()}
        return {name: n for name, n in added.items() if n} | {
            "batches": {size: n for size, n in sorted(batches.items()) if n}
        }

    expected = {"inferences": 4, "executions": 2, "success": 4, "queue": 4, "compute_infer": 4}
    pair.agree(STATISTICS, "1 alone, then 3 together", scenario, {**expected, "batches": {1: 1, 3: 1}})


def test_statistics_of_failures(pair: Pair) -> None:
    names = ("success", "fail", "inferences")
    pair.agree(
        STATISTICS,
        "2 time out behind 1",
        counted("rejects", answered_while_held("rejects", tags(1, 2)), *names),
        {"success": 1, "fail": 2, "inferences": 1},
    )
    pair.differ(
        STATISTICS,
        "2 of 4 are refused behind 1",
        counted("bounded", lambda side: behind_held(side, "bounded", tags(1, 2, 3, 4)), *names),
        naiad={"success": 3, "fail": 2, "inferences": 3},
        triton={"success": 3, "fail": 0, "inferences": 3},
        why="a request that was refused has failed",
    )
    pair.differ(
        STATISTICS,
        "the model answers 1 of 3 with an error",
        counted("at_once", lambda side: [side.infer("at_once", tag) for tag in (1, -2, 3)], *names),
        naiad={"success": 2, "fail": 1, "inferences": 2},
        triton={"success": 3, "fail": 0, "inferences": 3},
        why="an error is no success, whoever made it",
    )
