"""pb_utils.MetricFamily."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import triton_python_backend_utils as pb_utils
from naiad.backends.python.metric_family import read_families
from naiad.errors import InvalidArgument

MetricFamily = pb_utils.MetricFamily


def lines() -> dict[str, float]:
    return {
        f"{name}{labels}": value
        for family in read_families()
        for name, labels, value in family.samples
        if family.name.startswith("t_")
    }


def test_counters_and_gauges_live_as_long_as_they_are_held() -> None:
    family = MetricFamily("t_events", "what happened", MetricFamily.COUNTER)
    counter = family.Metric({"model": "m"})
    counter.increment(2)
    counter.increment(0.5)
    level = MetricFamily("t_level", "how much", MetricFamily.GAUGE).Metric({})
    level.set(5)
    level.increment(-2)
    assert (counter.value(), level.value()) == (2.5, 3)
    assert lines() == {"t_events{'model': 'm'}": 2.5, "t_level{}": 3}
    again = MetricFamily("t_events", "of another model", MetricFamily.COUNTER).Metric({"model": "m"})
    again.increment(1)
    assert counter.value() == 3.5
    del counter, again, level, family
    gc.collect()
    assert lines() == {}


def test_histograms() -> None:
    metric = MetricFamily("t_seconds", "how long", MetricFamily.HISTOGRAM).Metric({}, [0.1, 1])
    for value in (0.1, 0.5, 7):
        metric.observe(value)
    assert lines() == {
        "t_seconds_bucket{'le': '0.1'}": 1,
        "t_seconds_bucket{'le': '1'}": 2,
        "t_seconds_bucket{'le': '+Inf'}": 3,
        "t_seconds_sum{}": 7.6,
        "t_seconds_count{}": 3,
    }


def counter() -> Any:
    return MetricFamily("t_c", "d", MetricFamily.COUNTER)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: MetricFamily("1t", "d", MetricFamily.COUNTER), "not a name"),
        (lambda: MetricFamily("t_x", "d", 7), "no kind 7"),
        (lambda: (counter(), MetricFamily("t_c", "d", MetricFamily.GAUGE)), "another kind"),
        (lambda: counter().Metric({"a-b": "c"}), "'a-b' is not a name"),
        (lambda: counter().Metric({}).increment(-1), "negative"),
        (lambda: counter().Metric({}).set(1), "counter has no 'set'"),
        (lambda: counter().Metric({}).observe(1), "no 'observe'"),
        (lambda: counter().Metric({}, [1]), "buckets"),
        (lambda: MetricFamily("t_h", "d", MetricFamily.HISTOGRAM).Metric({}), "needs buckets"),
        (lambda: MetricFamily("t_h", "d", MetricFamily.HISTOGRAM).Metric({}, [2, 1]), "ascend"),
    ],
)
def test_what_is_refused(use: Callable[[], Any], words: str) -> None:
    family = counter()
    with pytest.raises(InvalidArgument, match=words):
        use()
    del family
