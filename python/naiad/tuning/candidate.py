"""A way to run a model that may be tried, and its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naiad.config import ModelConfig
from naiad.errors import InvalidArgument

DEFAULT_LARGEST_BATCH = 32
"""What is tried where a configuration does not say what a model can."""


@dataclass(frozen=True, order=True)
class Candidate:
    """Instances, and how requests are joined to batches."""

    instances: int
    max_batch_size: int
    """0: the model does not batch."""
    delay_us: int | None
    """How long a request may wait for others. None: requests are not joined."""


@dataclass(frozen=True)
class Space:
    """What may be tried: values of each kind, in their order."""

    instances: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    delays_us: tuple[int | None, ...]

    def all(self) -> list[Candidate]:
        """Each once: a batch of one row is not waited for."""
        return sorted(
            {
                self.canonical(Candidate(instances, batch, delay))
                for instances in self.instances
                for batch in self.batch_sizes
                for delay in self.delays_us
            },
            key=lambda one: (one.instances, one.max_batch_size, -1 if one.delay_us is None else one.delay_us),
        )

    @staticmethod
    def canonical(candidate: Candidate) -> Candidate:
        """The one of those that run alike."""
        if candidate.max_batch_size > 1:
            return candidate
        return Candidate(candidate.instances, candidate.max_batch_size, None)


def current(config: ModelConfig) -> Candidate:
    """How a loaded model runs now."""
    batching = config.dynamic_batching
    delay = None if batching is None else batching.max_queue_delay_us
    count = sum(group.count for group in config.instance_groups if not group.passive)
    return Space.canonical(Candidate(count, config.max_batch_size, delay))


def space_of(
    config: ModelConfig,
    instances: Sequence[int],
    batch_sizes: Sequence[int],
    delays_us: Sequence[int | None],
) -> Space:
    """What of it makes sense for a model. Empty ``batch_sizes``: powers of two up to what the configuration
    allows. Raises InvalidArgument for a model that has nothing to tune.
    """
    message = config.copy_proto()
    if config.is_ensemble:
        steps = ", ".join(dict.fromkeys(step.model_name for step in message.ensemble_scheduling.step))
        raise InvalidArgument(f"model '{config.name}' is an ensemble: tune the models of its steps: {steps}")
    if config.decoupled:
        raise InvalidArgument(
            f"model '{config.name}' is decoupled: a rate of answers says nothing about how it runs"
        )
    if len(config.instance_groups) > 1:
        raise InvalidArgument(
            f"model '{config.name}' has {len(config.instance_groups)} instance groups; one is tuned"
        )
    if config.max_batch_size == 0 or message.HasField("sequence_batching"):
        if batch_sizes:
            raise InvalidArgument(
                f"--batch-sizes: model '{config.name}' "
                + ("does not batch" if config.max_batch_size == 0 else "batches sequences")
            )
        delay = None if config.dynamic_batching is None else config.dynamic_batching.max_queue_delay_us
        return Space(tuple(instances), (config.max_batch_size,), (delay,))
    if not batch_sizes:
        largest = config.max_batch_size if config.max_batch_size > 1 else DEFAULT_LARGEST_BATCH
        batch_sizes = [size for size in (1 << power for power in range(20)) if size < largest] + [largest]
    return Space(tuple(instances), tuple(batch_sizes), tuple(delays_us))


def apply(candidate: Candidate, base: Any, config: ModelConfig) -> Any:
    """A copy of the ModelConfig message ``base``, run as ``candidate`` says. ``config``: the completed one,
    whose kind of instances a base without a group gets.
    """
    message = type(base)()
    message.CopyFrom(base)
    if not message.instance_group and config.instance_groups:
        group = config.instance_groups[0]
        made = message.instance_group.add()
        made.kind = made.DESCRIPTOR.enum_types_by_name["Kind"].values_by_name[group.kind].number
        made.gpus.extend(group.gpus)
    for group in message.instance_group:
        group.count = candidate.instances
    if config.max_batch_size == 0 or message.HasField("sequence_batching"):
        return message
    message.max_batch_size = candidate.max_batch_size
    if candidate.delay_us is None:
        message.ClearField("dynamic_batching")
        return message
    batching = message.dynamic_batching
    batching.SetInParent()
    batching.max_queue_delay_microseconds = candidate.delay_us
    fitting = [size for size in batching.preferred_batch_size if size <= candidate.max_batch_size]
    del batching.preferred_batch_size[:]
    batching.preferred_batch_size.extend(fitting)
    return message
