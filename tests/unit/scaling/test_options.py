from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naiad.errors import InvalidArgument
from naiad.scaling.options import DeployOptions, ReplicaSettings, Scaling, deployment_arguments

MODELS = ReplicaSettings((Path("/models"),))


def arguments(replica: ReplicaSettings = MODELS, **more: Any) -> dict[str, Any]:
    return deployment_arguments(DeployOptions(replica, **more))


def test_a_fixed_number() -> None:
    found = arguments(scaling=Scaling(replicas=5), cpus=2, gpus=0.5, max_ongoing_requests=64)
    assert found["num_replicas"] == 5
    assert found["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.5}
    assert found["max_ongoing_requests"] == 64
    assert not {"autoscaling_config", "placement_group_bundles"} & found.keys()


def test_as_many_as_requests_need() -> None:
    found = arguments(scaling=Scaling(min_replicas=2, max_replicas=9, target_ongoing_requests=4))
    assert "num_replicas" not in found
    config = found["autoscaling_config"]
    assert (config["min_replicas"], config["max_replicas"]) == (2, 9)
    assert config["target_ongoing_requests"] == 4
    assert "policy" not in config


def test_as_many_as_queues_need() -> None:
    config = arguments(scaling=Scaling(max_replicas=3, target_queue_depth=7))["autoscaling_config"]
    assert config["policy"]["policy_kwargs"] == {"target_queue_depth": 7}


def test_what_is_looked_at_is_no_older_than_the_delay() -> None:
    config = arguments(scaling=Scaling(max_replicas=3, upscale_delay_s=2))["autoscaling_config"]
    assert config["look_back_period_s"] <= 2 and config["metrics_interval_s"] <= 1


def test_what_the_router_is_told() -> None:
    def told(replica: ReplicaSettings = MODELS, **more: Any) -> dict[str, bool]:
        kwargs: dict[str, bool] = arguments(replica, **more)["request_router_config"]["request_router_kwargs"]
        return kwargs

    assert told() == {"on_demand": False, "own_node_first": False}
    assert told(own_node_first=True)["own_node_first"]
    assert told(ReplicaSettings((Path("/models"),), models_per_replica=3))["on_demand"]


def test_an_engine_over_nodes_reserves_a_gpu_in_each_bundle() -> None:
    found = arguments(ReplicaSettings((Path("/models"),), engine_gpus=3), cpus=2)
    assert found["placement_group_bundles"] == [{"CPU": 2, "GPU": 1}, {"GPU": 1}, {"GPU": 1}]
    # The first bundle has room for the replica itself, which leaves the GPU to the engine.
    assert found["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.0}


@pytest.mark.parametrize(
    ("replica", "more", "reason"),
    [
        (ReplicaSettings(), {}, "no model repository is named"),
        (MODELS, {"scaling": Scaling(min_replicas=3, max_replicas=2)}, "--min-replicas must be from 1"),
        (MODELS, {"scaling": Scaling(target_queue_depth=2)}, "--target-queue-depth needs --max-replicas"),
        (MODELS, {"scaling": Scaling(max_replicas=2), "max_ongoing_requests": 4}, "is never reached"),
        (ReplicaSettings((Path("m"),), engine_gpus=2), {"gpus": 1.0}, "--gpus-per-replica and --llm-gpus"),
        (ReplicaSettings((Path("m"),), engine_gpus=2, models_per_replica=1), {}, "--llm-gpus"),
        (ReplicaSettings((Path("m"),), poll_s=5, models_per_replica=1), {}, "--repository-poll-secs"),
    ],
)
def test_what_contradicts_itself_is_refused(
    replica: ReplicaSettings, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        DeployOptions(replica, **more)
