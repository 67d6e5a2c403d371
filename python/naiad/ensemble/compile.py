"""From an ensemble's configuration to the plan that the core runs. Words as Triton's where it has some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from naiad.config import ModelConfig
from naiad.engine import EnsemblePlan
from naiad.ensemble.conditions import read_conditions
from naiad.ensemble.graph import check_graph
from naiad.errors import ConfigError, InvalidArgument, NaiadError


class StepModel(Protocol):
    """A served version of a step's model, and by what the engine knows it."""

    @property
    def key(self) -> str: ...
    @property
    def config(self) -> ModelConfig: ...


Find = Callable[[str, str], StepModel]
"""A served model by name and version ("": the highest). Raises NotFound or NotReady."""


@dataclass(frozen=True)
class CompiledEnsemble:
    """What the core needs of an ensemble."""

    plan: EnsemblePlan
    decoupled: bool
    """A step's model is: the ensemble may answer any number of times too."""


@dataclass(frozen=True)
class _Spec:
    """What a tensor is, and who says so."""

    data_type: str
    shape: tuple[int, ...]
    model: str


def step_models(config: ModelConfig) -> tuple[str, ...]:
    """The models of the steps, each once, in order; none for what is no ensemble."""
    if not config.is_ensemble:
        return ()
    return tuple(dict.fromkeys(step.model_name for step in config.proto.ensemble_scheduling.step))


def compile_ensemble(config: ModelConfig, find: Find) -> CompiledEnsemble:
    """The plan of a validated configuration. Raises ConfigError, which names step and tensor, when the graph
    has no sense or does not fit its models; InvalidArgument when a model is not served.
    """
    check_graph(config)
    steps = list(config.proto.ensemble_scheduling.step)
    found = _find_models(config, steps, find)
    models = [model.config for model in found]
    _Specs(config).check(steps, models)
    tensors = _tensor_names(config, steps)
    place = {name: index for index, name in enumerate(tensors)}
    plan = EnsemblePlan(
        tensors,
        inputs=[place[tensor.name] for tensor in config.inputs],
        outputs=[place[tensor.name] for tensor in config.outputs],
        max_inflight_requests=config.proto.ensemble_scheduling.max_inflight_requests,
    )
    conditions = read_conditions(config)
    for index, (step, model) in enumerate(zip(steps, models, strict=True)):
        condition = conditions.get(index)
        plan.add_step(
            found[index].key,
            "" if step.model_version < 0 else str(step.model_version),
            inputs=[
                (name, place[tensor], bool((given := model.input(name)) and given.optional))
                for name, tensor in sorted(step.input_map.items())
            ],
            outputs=[(name, place[tensor], False) for name, tensor in sorted(step.output_map.items())],
            when=None if condition is None else (place[condition.tensor], condition.expected),
        )
    decoupled = [index for index, model in enumerate(models) if model.decoupled]
    _check_one_source(config, steps, decoupled)
    return CompiledEnsemble(plan, bool(decoupled))


def _find_models(config: ModelConfig, steps: list[Any], find: Find) -> list[StepModel]:
    found, missing = [], []
    for step in steps:
        try:
            found.append(find(step.model_name, "" if step.model_version < 0 else str(step.model_version)))
        except NaiadError:
            missing.append(step.model_name)
    if missing:
        named = ", ".join(dict.fromkeys(missing))
        raise InvalidArgument(
            f"ensemble {config.name} contains models that are not available or ambiguous: {named}"
        )
    return found


def _tensor_names(config: ModelConfig, steps: list[Any]) -> list[str]:
    names = [tensor.name for tensor in config.inputs]
    for step in steps:
        names += [step.output_map[name] for name in sorted(step.output_map)]
    return list(dict.fromkeys(names))


class _Specs:
    """Gathers what each tensor is said to be, and finds those who disagree."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._specs: dict[str, _Spec] = {}
        for tensor in (*config.inputs, *config.outputs):
            self._say(tensor.name, _Spec(tensor.data_type, config.wire_shape(tensor), config.name))

    def check(self, steps: list[Any], models: list[ModelConfig]) -> None:
        name = self._config.name
        for index, (step, model) in enumerate(zip(steps, models, strict=True)):
            field = f"ensemble_scheduling.step[{index}]"
            if self._config.max_batch_size > model.max_batch_size and not model.splits_oversize:
                raise ConfigError(
                    f"ensemble {name} allows maximum batch size {self._config.max_batch_size}, but it "
                    f"contains model {model.name} which only allows maximum batch size to be "
                    f"{model.max_batch_size}",
                    field=field,
                )
            for key, tensor in sorted(step.input_map.items()):
                found = model.input(key)
                if found is None:
                    raise ConfigError(
                        f"in ensemble {name}, ensemble tensor {tensor} is mapping to non-existing input "
                        f"{key} in model {model.name}",
                        field=f"{field}.input_map",
                    )
                self._say(tensor, _Spec(found.data_type, model.wire_shape(found), model.name))
            for key, tensor in sorted(step.output_map.items()):
                found = model.output(key)
                if found is None:
                    raise ConfigError(
                        f"in ensemble {name}, ensemble tensor {tensor} is mapped from non-existing output "
                        f"{key} in model {model.name}",
                        field=f"{field}.output_map",
                    )
                self._say(tensor, _Spec(found.data_type, model.wire_shape(found), model.name))
            for needed in model.inputs:
                if needed.name not in step.input_map and not needed.optional:
                    raise ConfigError(
                        f"in ensemble {name}, input {needed.name} in model {model.name} is not mapped to any "
                        "ensemble tensors",
                        field=f"{field}.input_map",
                    )

    def _say(self, tensor: str, spec: _Spec) -> None:
        known = self._specs.setdefault(tensor, spec)
        where = f"in ensemble {self._config.name}, ensemble tensor {tensor}: inconsistent"
        if known.data_type != spec.data_type:
            raise ConfigError(
                f"{where} data type: {known.data_type} is inferred from model {known.model} while "
                f"{spec.data_type} is inferred from model {spec.model}",
                field="ensemble_scheduling",
            )
        if not _fit(known.shape, spec.shape):
            raise ConfigError(
                f"{where} shape: {_shown(known.shape)} is inferred from model {known.model} while "
                f"{_shown(spec.shape)} is inferred from model {spec.model}",
                field="ensemble_scheduling",
            )


def _fit(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))


def _shown(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _check_one_source(config: ModelConfig, steps: list[Any], decoupled: list[int]) -> None:
    """No step joins the responses of two decoupled ones, unless one of them is behind the other."""
    maker = {tensor: index for index, step in enumerate(steps) for tensor in step.output_map.values()}

    def sources(index: int, seen: dict[int, frozenset[int]]) -> frozenset[int]:
        if index not in seen:
            before = {maker[tensor] for tensor in steps[index].input_map.values() if tensor in maker}
            above = [sources(each, seen) for each in sorted(before)]
            chains = [chain for chain in above if chain]
            widest = max(chains, key=len, default=frozenset())
            if any(not chain <= widest for chain in chains):
                raise ConfigError(
                    f"step {index} of ensemble '{config.name}' receives inputs originated from different "
                    "decoupled models",
                    field=f"ensemble_scheduling.step[{index}]",
                )
            seen[index] = widest | ({index} if index in decoupled else frozenset())
        return seen[index]

    seen: dict[int, frozenset[int]] = {}
    ends = [sources(index, seen) for index in range(len(steps))]
    widest = max(ends, key=len, default=frozenset())
    if any(not end <= widest for end in ends):
        raise ConfigError(
            f"ensemble '{config.name}' has decoupled steps beside one another: its responses would have no "
            "order",
            field="ensemble_scheduling",
        )
