"""What can be said of an ensemble's graph without its models."""

from __future__ import annotations

from typing import Any

from naiad.config import ModelConfig
from naiad.ensemble.conditions import read_conditions
from naiad.errors import ConfigError


def check_graph(config: ModelConfig) -> None:
    """Raises ConfigError for a tensor that two steps make, that nobody makes or that nobody uses, and for a
    cycle.
    """
    name = config.name
    steps = list(config.proto.ensemble_scheduling.step)
    conditions = read_conditions(config)
    maker = _makers(config, steps)
    inputs = {tensor.name for tensor in config.inputs}
    used = {tensor for step in steps for tensor in step.input_map.values()}
    used |= {condition.tensor for condition in conditions.values()}
    for tensor in config.inputs:
        if tensor.name not in used:
            raise ConfigError(
                f"ensemble input '{tensor.name}' for ensemble {name}' is not used", field="input"
            )
    for tensor in config.outputs:
        if tensor.name not in maker:
            raise ConfigError(
                f"ensemble output '{tensor.name}' for ensemble {name}' is not used", field="output"
            )
    for index, step in enumerate(steps):
        wanted = sorted(step.input_map.values())
        if index in conditions:
            wanted.append(conditions[index].tensor)
        for tensor_name in wanted:
            if tensor_name not in inputs and tensor_name not in maker:
                raise ConfigError(
                    f"in ensemble '{name}', step {index} ('{step.model_name}') reads tensor '{tensor_name}', "
                    "which is neither an input of the ensemble nor made by a step",
                    field=f"ensemble_scheduling.step[{index}].input_map",
                )
    _check_cycles(config, steps, maker)


def _makers(config: ModelConfig, steps: list[Any]) -> dict[str, int]:
    """Tensor -> the step that makes it."""
    maker: dict[str, int] = {}
    inputs = {tensor.name for tensor in config.inputs}
    for index, step in enumerate(steps):
        for key in sorted(step.output_map):
            tensor = step.output_map[key]
            if tensor in maker or tensor in inputs:
                raise ConfigError(
                    f"ensemble tensor '{tensor}' can appear in an output map only once for ensemble "
                    f"'{config.name}' step {index}",
                    field=f"ensemble_scheduling.step[{index}].output_map",
                )
            maker[tensor] = index
    return maker


def _check_cycles(config: ModelConfig, steps: list[Any], maker: dict[str, int]) -> None:
    conditions = read_conditions(config)
    done: set[int] = set()
    while len(done) < len(steps):
        ready = set()
        for index, step in enumerate(steps):
            wanted = list(step.input_map.values())
            if index in conditions:
                wanted.append(conditions[index].tensor)
            if index not in done and all(maker.get(tensor, -1) in {-1, *done} for tensor in wanted):
                ready.add(index)
        if not ready:
            stuck = ", ".join(
                f"{index} ('{step.model_name}')" for index, step in enumerate(steps) if index not in done
            )
            raise ConfigError(
                f"ensemble '{config.name}' has a cycle: steps {stuck} wait for one another",
                field="ensemble_scheduling.step",
            )
        done |= ready
