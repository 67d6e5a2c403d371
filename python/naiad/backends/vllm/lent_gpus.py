"""GPUs on several nodes of a Ray cluster, which whoever runs this server has reserved for its one engine.

The reservation is a placement group of Ray with one GPU in each bundle. vLLM's executor on Ray puts a worker
into each; the server's node has the first one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naiad.backends.vllm.model_json import EngineArguments
from naiad.config import ModelConfig
from naiad.errors import ConfigError

VARIABLE = "NAIAD_PLACEMENT_GROUP"
"""In the environment: the group's id in hexadecimal, a colon, how many GPUs it has. Workers inherit it."""
_EXECUTOR = "distributed_executor_backend"


@dataclass(frozen=True, slots=True)
class LentGpus:
    """A reservation."""

    group_id: str
    num_gpus: int

    def __str__(self) -> str:
        """The text of the variable."""
        return f"{self.group_id}:{self.num_gpus}"

    def arguments(self, config: ModelConfig, engine: EngineArguments) -> dict[str, Any]:
        """The engine's arguments with what makes it run there. Raises ConfigError where they do not fit."""
        if engine.num_devices != self.num_gpus:
            raise ConfigError(
                f"{engine.where}: tensor_parallel_size * pipeline_parallel_size is {engine.num_devices}, and "
                f"{self.num_gpus} GPUs are reserved for the engine (--llm-gpus)"
            )
        if config.num_instances > 1:
            raise ConfigError(
                f"model '{config.name}': GPUs are reserved for one engine, and instance_group.count is "
                f"{config.num_instances}: use more replicas instead",
                field="instance_group.count",
            )
        if engine.values.get(_EXECUTOR, "ray") != "ray":
            raise ConfigError(
                f"{engine.where}: {_EXECUTOR} must be 'ray' for GPUs that Ray has reserved, got "
                f"{engine.values[_EXECUTOR]!r}"
            )
        return {_EXECUTOR: "ray"} | engine.values

    def put_into(self, engine_config: Any) -> None:
        """Has the engine of this VllmConfig use them, and reserve none itself."""
        from ray._raylet import PlacementGroupID
        from ray.util.placement_group import PlacementGroup

        group = PlacementGroup(PlacementGroupID(bytes.fromhex(self.group_id)))
        engine_config.parallel_config.placement_group = group


def lent_gpus(environment: Mapping[str, str] = os.environ) -> LentGpus | None:
    """None: nothing is reserved, and an engine takes GPUs of its own machine."""
    group_id, _, count = environment.get(VARIABLE, "").partition(":")
    return LentGpus(group_id, int(count)) if group_id else None
