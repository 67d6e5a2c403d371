"""The format that has exemplars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from naiad import protos
from naiad.config import ModelConfig
from naiad.engine import histogram_bounds
from naiad.metrics.distributions import DistributionCollector
from naiad.metrics.families import add, counter, exposition, gauge, histogram, openmetrics, summary
from naiad.settings import MetricsSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
LATER = "1af7651916cd43dd8448eb211c80319c"
NAMES = ("request", "queue", "compute", "first_response", "batch_rows")
# 2^-20 s and a doubling for each.
TINY, ONE_SECOND, ABOVE_ALL = 0, 20, 33


@dataclass
class FakeModel:
    exemplars: dict[str, list[tuple[int, str, float, int]]]

    def distributions(self) -> dict[str, Any]:
        bucket = histogram_bounds().index(1.0)
        spread: dict[str, Any] = dict.fromkeys(NAMES, (1, 0.9, [(bucket, 1)]))
        return spread | {"exemplars": self.exemplars, "first_response_ms": (1, 900.0, [100.0], [0, 1])}


@dataclass
class Served:
    model: Any
    name: str = "m"
    version: int = 1
    config: ModelConfig = field(default_factory=lambda: ModelConfig.of(protos.ModelConfig(name="m")))
    versions: list[int] = field(default_factory=list)
    load_duration_s: float = 0.5
    namespace: str = ""
    key: str = "m"


def examples(exemplars: dict[str, list[tuple[int, str, float, int]]], name: str) -> dict[str, Any]:
    """Of each bucket that has one, by its bound."""
    served = [Served(FakeModel(exemplars))]
    settings = MetricsSettings(histogram_latencies=True)
    text = openmetrics(DistributionCollector(lambda: served, settings).collect()).decode()
    return {
        sample.labels["le"]: sample.exemplar
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == name and sample.exemplar is not None
    }


def test_an_exemplar_is_in_the_bucket_of_its_value() -> None:
    found = examples({"request": [(ONE_SECOND, TRACE, 0.9, 1_500)]}, "naiad_request_duration_seconds")
    assert found.keys() == {"1.0"}
    assert found["1.0"].labels == {"trace_id": TRACE}
    assert (found["1.0"].value, float(found["1.0"].timestamp)) == (0.9, 1.5)
    assert examples({"request": [(ONE_SECOND, TRACE, 0.9, 1)]}, "naiad_queue_duration_seconds") == {}
    assert examples({}, "naiad_request_duration_seconds") == {}


@pytest.mark.parametrize("doublings", [(TINY, TINY + 1), (ABOVE_ALL, ABOVE_ALL - 1)])
def test_of_doublings_that_share_a_bucket_the_last_one_counts(doublings: tuple[int, int]) -> None:
    value = 1e-7 if TINY in doublings else 1e4
    given = [(doublings[0], TRACE, value, 1_000), (doublings[1], LATER, value, 2_000)]
    (found,) = examples({"compute": given}, "naiad_compute_duration_seconds").values()
    assert found.labels == {"trace_id": LATER}


def test_the_other_format_has_none() -> None:
    served = [Served(FakeModel({"request": [(ONE_SECOND, TRACE, 0.9, 1_500)]}))]
    text = exposition(DistributionCollector(lambda: served, MetricsSettings()).collect()).decode()
    assert "naiad_request_duration_seconds_bucket" in text
    assert "trace_id" not in text


def test_names_are_those_of_the_other_format() -> None:
    families: list[Metric] = [counter("nv_count", 'With "quotes"'), gauge("nv_level", "Level")]
    for family in families:
        add(family, {"model": 'a"b\\c\nd'}, 3)
    spread = histogram("nv_spread_ms", "Spread")
    for bound, count in (("100", 1), ("2.5e+06", 2), ("+Inf", 2)):
        spread.add_sample("nv_spread_ms_bucket", {"le": bound}, count)
    spread.add_sample("nv_spread_ms_count", {}, 2)
    spread.add_sample("nv_spread_ms_sum", {}, 5.0)
    quantiles = summary("nv_summary", "Summary")
    quantiles.add_sample("nv_summary", {"quantile": "1"}, float("nan"))
    text = openmetrics([*families, spread, quantiles]).decode()
    assert text.endswith("# EOF\n")
    # It refuses what the specification does not allow.
    read = {family.name: family for family in text_string_to_metric_families(text)}
    assert read["nv_count"].type == "unknown"
    assert read["nv_count"].samples[0].name == "nv_count"
    assert read["nv_count"].samples[0].labels == {"model": 'a"b\\c\nd'}
    bounds = [each.labels["le"] for each in read["nv_spread_ms"].samples if "le" in each.labels]
    assert bounds == ["100.0", "2.5e+06", "+Inf"]
    assert read["nv_summary"].samples[0].labels == {"quantile": "1.0"}
