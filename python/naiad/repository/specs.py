"""From a configuration to what the core wants to know."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.config import ModelConfig
from naiad.engine import InstanceSpec, ModelSpec, TensorSpec
from naiad.repository.sequences import SequenceTensors


def model_spec(
    config: ModelConfig,
    version: int,
    labels: Mapping[str, tuple[str, ...]],
    sequence: SequenceTensors | None = None,
) -> ModelSpec:
    """The core's description of one version of a completed, validated configuration."""
    batching = config.dynamic_batching
    return ModelSpec(
        config.name,
        version,
        max_batch_size=config.max_batch_size,
        inputs=[
            TensorSpec(
                tensor.name, tensor.datatype, tensor.dims, reshape=tensor.reshape, optional=tensor.optional
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
        max_queue_size=batching.max_queue_size if batching else 0,
        decoupled=config.decoupled,
        sequence=sequence.spec if sequence else None,
    )


def instance_specs(config: ModelConfig) -> list[InstanceSpec]:
    """The instances of all groups. A group on several GPUs has its ``count`` on each of them."""
    specs = []
    for group in config.instance_groups:
        gpus = group.gpus if group.kind == "KIND_GPU" else ()
        for index, name in enumerate(group.instance_names):
            if gpus:
                specs.append(InstanceSpec(name, device_kind="GPU", device_id=gpus[index % len(gpus)]))
            else:
                specs.append(InstanceSpec(name))
    return specs
