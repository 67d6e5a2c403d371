"""What the page reckons with, in the browser that reckons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from naiad.engine import histogram_bounds

from ..integration.conftest import ServerProcess
from .conftest import Visitor

BOUNDS = [bound for bound in histogram_bounds() if math.isfinite(bound)]


@pytest.fixture
def page(ui_server: ServerProcess, visit: Callable[..., Visitor]) -> Page:
    visitor = visit(ui_server)
    visitor.page.goto(f"{visitor.origin}/ui/icon.svg")
    return visitor.page


def call(page: Page, module: str, body: str, *given: Any) -> Any:
    """What ``body`` gives, with the module as ``m`` and what is given as ``g``."""
    return page.evaluate(
        f"async (g) => {{ const m = await import('/ui/{module}.js'); return ({body}); }}", list(given)
    )


def test_percentiles_lie_within_a_bucket_of_the_true_ones(page: Page) -> None:
    values = np.random.default_rng(7).lognormal(-6, 1.5, 4000)
    numbers, counts = np.unique(np.searchsorted(BOUNDS, values), return_counts=True)
    buckets = [[int(number), int(count)] for number, count in zip(numbers, counts, strict=True)]
    for share in (0.01, 0.5, 0.9, 0.99):
        found = call(page, "histogram", "m.quantile(g[0], g[1], g[2])", buckets, BOUNDS, share)
        assert found == pytest.approx(np.quantile(values, share), rel=0.1), share
    assert call(page, "histogram", "m.quantile([], g[0], 0.5)", BOUNDS) is None
    # Above all bounds: at least the last one.
    assert call(page, "histogram", "m.quantile([[g[0].length, 1]], g[0], 0.5)", BOUNDS) == BOUNDS[-1]


def model(success: int, executions: int, **more: Any) -> dict[str, Any]:
    spread = [success, 0.0, [[5, success]]]
    return {
        "name": "m", "version": "1", "success": success, "failures": {"OTHER": 1},
        "inferences": executions * 2, "executions": executions, "queue_s": 1.0,
        "compute_s": [0, 1.0, 0], "computed": success,
        "cache": [0, 0], "batches": [[2, executions]], "instances": [["m_0", executions * 0.5, 0]],
        "pending": 1, "memory": None, "request": spread, "queue": spread, "compute": spread,
        "first_response": spread,
    } | more  # fmt: skip


def reading(at_s: float, *models: dict[str, Any], busy: float = 0.0) -> dict[str, Any]:
    return {
        "at_s": at_s, "models": list(models), "machine": {"cpu_s": [busy, at_s * 2]}, "gpus": [],
        "cache": None, "in_flight": 0, "open_connections": 0,
    }  # fmt: skip


def between(page: Page, before: dict[str, Any], now: dict[str, Any]) -> Any:
    return call(page, "history", "m.between(g[0], g[1])", before, now)


def test_differences_between_readings(page: Page) -> None:
    sample = between(page, reading(10, model(4, 2)), reading(12, model(10, 5), busy=1))
    (found,) = sample["models"]
    assert (sample["seconds"], sample["cpu"]) == (2, 0.25)
    assert (found["success"], found["executions"], found["failed"]) == (6, 3, 0)
    assert found["request"] == [[5, 6]]
    assert found["batches"] == [[2, 3]]
    assert found["instances"] == [["m_0", 1.5]]


def test_a_model_that_was_loaded_again_counts_from_zero(page: Page) -> None:
    (again,) = between(page, reading(10, model(400, 200)), reading(12, model(3, 2)))["models"]
    assert (again["success"], again["executions"], again["request"]) == (3, 2, [[5, 3]])
    (new,) = between(page, reading(10), reading(12, model(3, 2)))["models"]
    assert new["success"] == 3


def test_numbers_as_people_read_them(page: Page) -> None:
    for name, value, text in (
        ("duration", 0.0000123, "12.3 µs"), ("duration", 0.25, "250 ms"), ("duration", 3.5, "3.5 s"),
        ("duration", None, "–"), ("rate", 1234.5, "1,235/s"), ("rate", 250000, "250 k/s"),
        ("bytes", 500 << 20, "500 MB"), ("bytes", 1000 << 20, "0.98 GB"), ("share", 0.034, "3.4 %"),
        ("ago", 3700, "1 h 1 min"), ("ago", 59, "59 s"), ("count", 1234567, "1.23 M"),
    ):  # fmt: skip
        assert call(page, "format", "m[g[0]](g[1])", name, value) == text, (name, value)


def test_steps_stand_behind_those_whose_tensors_they_take(page: Page) -> None:
    def step(inputs: list[str], outputs: list[str], when: str = "") -> dict[str, Any]:
        named = [dict(enumerate(names)) for names in (inputs, outputs)]
        return {
            "inputs": named[0],
            "outputs": named[1],
            "when": {"tensor": when, "is": True} if when else None,
        }

    steps = [step(["b", "c"], ["d"]), step(["a"], ["b"]), step(["a"], ["c"], when="b"), step(["a"], ["e"])]
    assert call(page, "flow", "m.levels(g[0])", steps) == [[1, 3], [2], [0]]
