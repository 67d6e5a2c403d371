"""Decoupled models, ensembles and the response cache, as both servers have them."""

from __future__ import annotations

import time
from typing import Any

from .sides import Pair, Side

DECOUPLED = "decoupled"
ENSEMBLE = "ensemble"
CACHE = "response cache"


def added(side: Side, model: str, before: dict[str, Any], *names: str) -> dict[str, int]:
    """What the statistics have grown by, when they grow no more: Triton counts after it has answered."""
    after = side.statistics(model)
    for _ in range(20):
        time.sleep(0.25)
        previous, after = after, side.statistics(model)
        if previous == after != before:
            break
    return {name: after[name] - before[name] for name in names}


def test_responses_of_a_decoupled_model(pair: Pair) -> None:
    def three(side: Side) -> list[Any]:
        with side.stream() as stream:
            stream.send("repeat", "IN", [7, 8, 9], request_id="x", enable_empty_final_response=True)
            return [(message["out"], message["final"]) for message in (stream.take() for _ in range(4))]

    def none(side: Side) -> list[Any]:
        with side.stream() as stream:
            stream.send("repeat", "IN", [], request_id="x", enable_empty_final_response=True)
            stream.send("repeat", "IN", [], request_id="x")
            stream.send("repeat", "IN", [5], request_id="y")
            return [
                (message["id"], message["out"], message["final"])
                for message in (stream.take(), stream.take())
            ]

    expected = [([7], False), ([8], False), ([9], False), ([], True)]
    pair.agree(DECOUPLED, "3 responses, the empty final one wanted", three, expected)
    pair.agree(
        DECOUPLED, "0 responses (x, final wanted; x), then 1 (y)", none, [("x", [], True), ("y", [5], False)]
    )


def test_decoupled_statistics(pair: Pair) -> None:
    def scenario(side: Side) -> dict[str, int]:
        before = side.statistics("repeat")
        with side.stream() as stream:
            stream.send("repeat", "IN", [1, 2, 3], enable_empty_final_response=True)
            while not stream.take()["final"]:
                pass
        return added(side, "repeat", before, "success", "inferences", "executions", "fail")

    expected = {"success": 1, "inferences": 1, "executions": 1, "fail": 0}
    pair.agree(DECOUPLED, "statistics of 1 request with 3 responses", scenario, expected)


def test_decoupled_over_http(pair: Pair) -> None:
    def scenario(side: Side) -> Any:
        tensor = {"name": "IN", "shape": [1], "datatype": "INT32", "data": [1]}
        return side.call("POST", "/v2/models/repeat/infer", {"inputs": [tensor]})[0]

    pair.agree(DECOUPLED, "infer over HTTP", scenario, 501)


def test_ensemble(pair: Pair) -> None:
    def scenario(side: Side) -> Any:
        before = {model: side.statistics(model) for model in ("both", "first", "second")}
        status, body = side.infer("both", 5)
        assert status == 200, body
        counts = [
            added(side, model, before[model], "success", "inferences", "executions") for model in before
        ]
        return body["outputs"][0]["data"], [list(each.values()) for each in counts]

    expected = ([5], [[1, 1, 1]] * 3)
    pair.agree(ENSEMBLE, "output; success, inferences, executions of it and its 2 steps", scenario, expected)


def test_times_of_an_ensemble(pair: Pair) -> None:
    """Since the server began, in nanoseconds."""

    def spent(side: Side, model: str, part: str) -> int:
        _, body = side.call("GET", f"/v2/models/{model}/stats")
        return int(body["model_stats"][0]["inference_stats"][part]["ns"])

    def scenario(side: Side) -> list[bool]:
        before = {model: side.statistics(model) for model in ("both", "second")}
        parts = ("compute_input", "compute_infer", "compute_output")
        sums = {part: [spent(side, model, part) for model in ("both", "first", "second")] for part in parts}
        assert side.infer("both", 6)[0] == 200
        for model in before:
            added(side, model, before[model], "success")
        grown = [
            [
                spent(side, model, part) - old
                for model, old in zip(("both", "first", "second"), sums[part], strict=True)
            ]
            for part in parts
        ]
        return [whole == first + second for whole, first, second in grown]

    what = "compute input, infer and output of the ensemble are the sums of those of its steps"
    pair.agree(ENSEMBLE, what, scenario, [True, True, True])


def test_ensemble_whose_step_fails(pair: Pair) -> None:
    def scenario(side: Side) -> Any:
        before = {model: side.statistics(model) for model in ("both", "first", "second")}
        status, body = side.infer("both", -5)
        counts = [added(side, model, before[model], "success", "fail") for model in before]
        return status, body["error"], [list(each.values()) for each in counts]

    pair.differ(
        ENSEMBLE,
        "the first step fails: status, error; success and fail of it and its 2 steps",
        scenario,
        naiad=(400, "in ensemble 'both', step 0 ('first'): tag -5", [[0, 1], [0, 1], [0, 0]]),
        triton=(400, "in ensemble 'both', tag -5", [[0, 2], [1, 0], [0, 0]]),
        why="the error names the step; one failure is counted once, and of the step that failed",
    )


def asked_twice(first: dict[str, Any], second: dict[str, Any]) -> Any:
    """Statuses, and the hits and misses of two requests."""

    def scenario(side: Side) -> Any:
        before = side.statistics("kept")
        statuses = [side.infer("kept", **first)[0], side.infer("kept", **second)[0]]
        counts = added(side, "kept", before, "cache_hit", "cache_miss", "success", "inferences")
        return statuses, counts

    return scenario


def test_kept_answers(pair: Pair) -> None:
    expected = ([200, 200], {"cache_hit": 1, "cache_miss": 1, "success": 2, "inferences": 1})
    pair.agree(CACHE, "the same request twice", asked_twice({"tag": 1}, {"tag": 1}), expected)


def test_what_is_the_same_request(pair: Pair) -> None:
    miss = ([200, 200], {"cache_hit": 0, "cache_miss": 2, "success": 2, "inferences": 2})
    hit = ([200, 200], {"cache_hit": 1, "cache_miss": 1, "success": 2, "inferences": 1})
    pair.differ(
        CACHE,
        "another parameter",
        asked_twice({"tag": 2}, {"tag": 2, "extra": 1}),
        naiad=miss,
        triton=hit,
        why="all that reaches the model counts: the kept answer may be a wrong one",
    )
    pair.differ(
        CACHE,
        "the same bytes in another shape",
        asked_twice({"tag": 3, "width": 2}, {"tag": 3, "rows": 2}),
        naiad=([200, 200], {**miss[1], "inferences": 3}),
        triton=hit,
        why="as before: Triton answers [2, 1] with the output of [1, 2]",
    )


def test_failures_are_not_kept(pair: Pair) -> None:
    pair.differ(
        CACHE,
        "a request that fails, twice",
        asked_twice({"tag": -4}, {"tag": -4}),
        naiad=([400, 400], {"cache_hit": 0, "cache_miss": 2, "success": 0, "inferences": 0}),
        triton=([400, 200], {"cache_hit": 1, "cache_miss": 1, "success": 2, "inferences": 1}),
        why="Triton keeps the error and answers the second time with success and no outputs",
    )
