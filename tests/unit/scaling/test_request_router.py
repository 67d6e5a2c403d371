"""Which replica has a request's model. Needs the extra ray, and no cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def router(*allowed: str) -> Any:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from naiad.scaling.request_router import QueueRouter

    made = QueueRouter.__new__(QueueRouter)
    made.apply_multiplex_routing = lambda pending_request: set(allowed)
    return made


def replica(name: str, *models: str) -> Any:
    return SimpleNamespace(replica_id=name, multiplexed_model_ids=set(models))


def request(model: str) -> Any:
    return SimpleNamespace(metadata=SimpleNamespace(multiplexed_model_id=model))


def test_those_that_have_the_model() -> None:
    replicas = [replica("a", "m"), replica("b", "m"), replica("c"), replica("d", "m")]
    found = [router("a", "b", "c")._by_model(replicas, request("m")) for _ in range(20)]
    assert {frozenset(one.replica_id for one in ranks[0]) for ranks in found} == {frozenset("ab")}


def test_where_none_has_it_all_routers_take_the_same() -> None:
    replicas = [replica(name) for name in "abcdefgh"]
    for model in ("m", "n", "o"):
        chosen = {
            router(*"abcdefgh")._by_model(order, request(model))[0][0].replica_id
            for order in (replicas, replicas[::-1])
        }
        assert len(chosen) == 1
    # And not the same for all models.
    firsts = {
        router(*"abcdefgh")._by_model(replicas, request(str(number)))[0][0].replica_id
        for number in range(100)
    }
    assert len(firsts) == 8


def test_where_it_is_on_its_way_a_request_waits() -> None:
    assert router()._by_model([replica("a")], request("m")) == []
