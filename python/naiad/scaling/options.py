"""What ``naiad ray deploy`` is told, and what of it Ray Serve is told. Needs no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument

DEFAULT_APPLICATION = "naiad"
QUEUE_POLICY = "naiad.scaling.queue_policy:QueuePolicy"
ROUTER = "naiad.scaling.request_router:QueueRouter"
SERVICERS = (
    "naiad.scaling.grpc_ingress.add_inference_service",
    "naiad.scaling.grpc_ingress.add_health_service",
)
"""What Serve's gRPC proxies import to learn the methods."""


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """What each replica serves, and how. Every node has to find the directories at the same place."""

    model_repositories: tuple[Path, ...] = ()
    remote_repositories: tuple[str, ...] = ()
    backend_config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    load_threads: int = 4
    cache_bytes: int = 0
    models_per_replica: int = 0
    """A replica loads models when they are asked for, and holds so many; 0: all, from the start."""
    several: bool = True
    """Whether there may be more than one replica."""
    engine_gpus: int = 0
    """The GPUs of the one engine of vLLM that the repository has, reserved on as many nodes as it takes."""
    poll_s: float | None = None
    """How often each replica looks for changes of the repositories; None: never."""
    metrics_address: str | None = None
    """Where the metrics port of a replica listens, on a free port; None: on the loopback of its node."""
    max_input_size_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas there are."""

    replicas: int = 1
    """A fixed number, where ``max_replicas`` is None."""
    min_replicas: int = 1
    max_replicas: int | None = None
    """As many as the load needs, up to this."""
    target_ongoing_requests: float = 8.0
    """So many requests a replica may have under way: those that run and those that wait."""
    target_queue_depth: float | None = None
    """So many may wait in the queues of a replica's models; None: only those under way count."""
    upscale_delay_s: float = 10.0
    downscale_delay_s: float = 300.0

    @property
    def automatic(self) -> bool:
        return self.max_replicas is not None

    @property
    def most(self) -> int:
        return self.replicas if self.max_replicas is None else self.max_replicas


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """One application of Ray Serve. Raises InvalidArgument for what contradicts itself."""

    replica: ReplicaSettings
    scaling: Scaling = field(default_factory=Scaling)
    application: str = DEFAULT_APPLICATION
    max_ongoing_requests: int = 256
    """Of a replica; beyond this requests wait at the proxies."""
    max_queued_requests: int = -1
    """So many wait at each proxy, and what is more is refused; -1: without a bound."""
    own_node_first: bool = False
    """Whether a proxy sends to the replicas on its own node until these take no more."""
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        scaling = self.scaling
        if not (self.replica.model_repositories or self.replica.remote_repositories):
            raise InvalidArgument("no model repository is named")
        if scaling.max_replicas is not None:
            if not 0 < scaling.min_replicas <= scaling.max_replicas:
                raise InvalidArgument(
                    f"--min-replicas must be from 1 to --max-replicas ({scaling.max_replicas}), "
                    f"got {scaling.min_replicas}"
                )
        elif scaling.target_queue_depth is not None:
            raise InvalidArgument("--target-queue-depth needs --max-replicas")
        if self.max_ongoing_requests < scaling.target_ongoing_requests and scaling.automatic:
            raise InvalidArgument(
                f"--target-ongoing-requests ({scaling.target_ongoing_requests:g}) is never reached: "
                f"--max-ongoing-requests is {self.max_ongoing_requests}"
            )
        if self.replica.engine_gpus and self.gpus:
            raise InvalidArgument(
                "--gpus-per-replica and --llm-gpus contradict each other: both reserve the GPUs of a replica"
            )
        if self.replica.models_per_replica and (self.replica.engine_gpus or self.replica.poll_s is not None):
            other = "--llm-gpus" if self.replica.engine_gpus else "--repository-poll-secs"
            raise InvalidArgument(
                f"--models-per-replica and {other} contradict each other: the first loads models when they "
                "are asked for"
            )


def deployment_arguments(options: DeployOptions) -> dict[str, Any]:
    """The keyword arguments of ``ray.serve.deployment``, as plain values."""
    arguments: dict[str, Any] = {
        "name": "replica",
        "ray_actor_options": {"num_cpus": options.cpus, "num_gpus": options.gpus},
        "max_ongoing_requests": options.max_ongoing_requests,
        "max_queued_requests": options.max_queued_requests,
        "health_check_period_s": 10,
        # A line for each request is costly.
        "logging_config": {"enable_access_log": False},
        "graceful_shutdown_wait_loop_s": 2,
        "graceful_shutdown_timeout_s": 60,
        "request_router_config": {
            "request_router_class": ROUTER,
            "request_router_kwargs": {
                "on_demand": options.replica.models_per_replica > 0,
                "own_node_first": options.own_node_first,
            },
        },
    }
    if options.replica.engine_gpus:
        # The replica runs in the first bundle and leaves its GPU, as those of the others, to the engine.
        first = {"CPU": options.cpus, "GPU": 1.0}
        arguments["placement_group_bundles"] = [first] + [{"GPU": 1.0}] * (options.replica.engine_gpus - 1)
        arguments["placement_group_strategy"] = "PACK"
    if options.scaling.automatic:
        arguments["autoscaling_config"] = _autoscaling(options.scaling)
    else:
        arguments["num_replicas"] = options.scaling.replicas
    return arguments


def _autoscaling(scaling: Scaling) -> dict[str, Any]:
    config: dict[str, Any] = {
        "min_replicas": scaling.min_replicas,
        "initial_replicas": scaling.min_replicas,
        "max_replicas": scaling.max_replicas,
        "target_ongoing_requests": scaling.target_ongoing_requests,
        "upscale_delay_s": scaling.upscale_delay_s,
        "downscale_delay_s": scaling.downscale_delay_s,
        # What is looked at is never older than the delay that is asked for.
        "metrics_interval_s": max(0.1, min(10.0, scaling.upscale_delay_s / 2)),
        "look_back_period_s": max(0.2, min(30.0, scaling.upscale_delay_s)),
    }
    if scaling.target_queue_depth is not None:
        config["policy"] = {
            "policy_function": QUEUE_POLICY,
            "policy_kwargs": {"target_queue_depth": scaling.target_queue_depth},
        }
    return config
