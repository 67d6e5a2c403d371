"""From a configuration to what the core wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naiad import protos
from naiad.config import ModelConfig, wire_datatype
from naiad.engine import InstanceSpec, ModelSpec, QueuePolicy, TensorSpec, WarmupSample
from naiad.errors import ConfigError
from naiad.repository.sequences import SequenceTensors
from naiad.settings import ALL_TOGETHER, CPU, HostPolicy, read_core_list

_BATCH_INPUT = protos.message_class("inference.BatchInput")
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType")
_PRIORITIES = {0: "PRIORITY_DEFAULT", 1: "PRIORITY_MAX", 2: "PRIORITY_MIN"}
_NODES = Path("/sys/devices/system/node")


def model_spec(
    config: ModelConfig,
    version: int,
    labels: Mapping[str, tuple[str, ...]],
    sequence: SequenceTensors | None = None,
    warmups: Sequence[WarmupSample] = (),
    *,
    unbounded_queue: bool = False,
    content: str = "",
    summaries: bool = False,
) -> ModelSpec:
    """The core's description of one version of a completed, validated configuration.

    ``unbounded_queue``: where the configuration sets no bound, there is none. ``content``: what tells it from
    all other models whose answers are kept beyond this process. ``summaries``: whether quantiles of its
    durations are kept.
    """
    batching = config.dynamic_batching
    return ModelSpec(
        config.name,
        version,
        max_batch_size=config.max_batch_size,
        inputs=[
            TensorSpec(
                tensor.name,
                tensor.datatype,
                tensor.dims,
                reshape=tensor.reshape,
                optional=tensor.optional,
                ragged=tensor.allow_ragged_batch,
                shape_values=tensor.is_shape_tensor,
            )
            for tensor in config.inputs
        ]
        + (sequence.inputs if sequence else []),
        outputs=[
            TensorSpec(
                tensor.name,
                tensor.datatype,
                tensor.dims,
                reshape=tensor.reshape,
                labels=labels.get(tensor.name, ()),
            )
            for tensor in config.outputs
        ]
        + (sequence.outputs if sequence else []),
        dynamic_batching=batching is not None,
        preferred_batch_sizes=batching.preferred_batch_sizes if batching else (),
        max_queue_delay_us=batching.max_queue_delay_us if batching else 0,
        max_queue_size=_max_queue_size(config),
        preserve_ordering=batching is not None and batching.preserve_ordering,
        levels=queue_policies(config),
        default_priority=config.proto.dynamic_batching.default_priority_level,
        split_oversize=config.splits_oversize,
        latency_target_us=config.latency_target_us,
        unbounded_queue=unbounded_queue,
        content=content,
        first_response_buckets_ms=config.first_response_buckets_ms,
        summaries=summaries,
        decoupled=config.decoupled,
        cached=config.proto.response_cache.enable,
        sequence=sequence.spec if sequence else None,
        warmups=warmups,
        stream_priority=_PRIORITIES[config.proto.optimization.priority],
        graphs=config.proto.optimization.cuda.graphs,
        gather_threshold=config.proto.optimization.gather_kernel_buffer_threshold,
        gpu_memory_limit_bytes=config.gpu_memory_limit_bytes,
    )


def add_ragged(spec: ModelSpec, config: ModelConfig) -> None:
    """Adds what is made of each batch, and the outputs that are cut by the shapes of an input."""
    lead = 1 if config.max_batch_size > 0 else 0
    ranks = {tensor.name: len(tensor.dims) + lead - 1 for tensor in config.inputs}
    for made in config.proto.batch_input:
        kind = _BATCH_INPUT.Kind.Name(made.kind)
        (source,) = made.source_input
        dims = (-1, ranks[source]) if kind == "BATCH_ITEM_SHAPE" else (-1,)
        datatype = wire_datatype(_TYPES.values_by_number[made.data_type].name)
        for name in made.target_name:
            spec.add_batch_input(kind, name, datatype=datatype, dims=dims, source=source)
    for cut in config.proto.batch_output:
        for name in cut.target_name:
            spec.add_batch_output(name, cut.source_input[0])


def queue_policies(config: ModelConfig) -> list[QueuePolicy]:
    """By priority, 1 first: its own policy, or the default one. None without a policy.

    Where a policy is written, a request's own timeout counts only where it says so; where none is, it counts.
    """
    return [
        QueuePolicy()
        if policy is None
        else QueuePolicy(
            delays=policy.timeout_action == policy.DELAY,
            default_timeout_us=policy.default_timeout_microseconds,
            allow_override=policy.allow_timeout_override,
            max_size=policy.max_queue_size,
        )
        for policy in _policies(config)
    ]


def _policies(config: ModelConfig) -> list[Any]:
    """By priority, as written; None where nothing is."""
    batching = config.proto.dynamic_batching
    default = batching.default_queue_policy if batching.HasField("default_queue_policy") else None
    if not batching.priority_levels and default is None:
        return []
    own = batching.priority_queue_policy
    return [own.get(level, default) for level in range(1, max(1, batching.priority_levels) + 1)]


def _max_queue_size(config: ModelConfig) -> int:
    """Of all priorities together; 0: the core's bound, where one of them has none."""
    sizes = [0 if policy is None else policy.max_queue_size for policy in _policies(config)]
    return sum(sizes) if sizes and all(sizes) else 0


def instance_specs(
    config: ModelConfig, host_policies: Mapping[str, HostPolicy] | None = None
) -> list[InstanceSpec]:
    """The instances of all groups. A group on several GPUs has its ``count`` on each of them.

    ``host_policies``: by name. Raises ConfigError for one that asks for a node which this machine has not.
    """
    specs = []
    for group, message in zip(config.instance_groups, config.proto.instance_group, strict=True):
        gpus = group.gpus if group.kind == "KIND_GPU" else ()
        for index, name in enumerate(group.instance_names):
            gpu = gpus[index % len(gpus)] if gpus else None
            named = message.host_policy or ("cpu" if gpu is None else f"gpu_{gpu}")
            place = (host_policies or {}).get(named, HostPolicy())
            specs.append(
                InstanceSpec(
                    name,
                    device_kind="CPU" if gpu is None else "GPU",
                    device_id=gpu or 0,
                    resources=_resources(message.rate_limiter, CPU if gpu is None else gpu),
                    priority=max(1, message.rate_limiter.priority),
                    passive=group.passive,
                    cpus=place.cpu_cores or _cores_of_node(named, place.numa_node),
                    numa_node=place.numa_node,
                )
            )
    return specs


def _cores_of_node(policy: str, node: int | None) -> tuple[int, ...]:
    """The processors of a NUMA node; none without one."""
    if node is None:
        return ()
    try:
        listed = (_NODES / f"node{node}" / "cpulist").read_text().strip()
    except OSError:
        raise ConfigError(
            f"host policy '{policy}' names NUMA node {node}, which this machine has not",
            field="instance_group.host_policy",
        ) from None
    return read_core_list(listed) or ()


def _resources(rate_limiter: Any, device: int) -> dict[tuple[str, int], int]:
    return {
        (resource.name, ALL_TOGETHER if getattr(resource, "global") else device): resource.count
        for resource in rate_limiter.resources
        if resource.count > 0
    }
