"""All models of repositories. The file to read first in this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.backends.registry import BackendRegistry
from naiad.checking.model_check import ModelCheck
from naiad.checking.problem import Problem
from naiad.config import ModelConfig, ServerOptions
from naiad.ensemble import compile_ensemble, step_models
from naiad.ensemble.graph import check_graph
from naiad.errors import ConfigError, NaiadError
from naiad.repository.scan import scan


@dataclass(frozen=True)
class Checked:
    """What was found."""

    models: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many problems are no warnings."""
        return sum(problem.level == "error" for problem in self.problems)


@dataclass(frozen=True)
class _Step:
    key: str
    config: ModelConfig


def check_repositories(
    roots: Sequence[Path], backends: BackendRegistry, *, num_gpus: int, complete: bool = False
) -> Checked:
    """Looks at every model and loads none. ``num_gpus``: of the machine that is to serve. ``complete``: read
    the models' files for what configurations leave out, as the server does, which may run their code.

    Raises NotFound for a root that is not a directory.
    """
    found = scan(roots)
    problems = [Problem(name, "error", str(error)) for name, error in found.refused.items()]
    options = ServerOptions(
        gpu_backends=backends.on_gpu() if num_gpus else frozenset(), rate_limit=True, cache=True
    )
    checks: dict[str, ModelCheck] = {}
    for name, directory in found.models.items():
        check = ModelCheck(directory, backends, num_gpus=num_gpus, options=options, complete=complete)
        check.run()
        checks[name] = check
    for check in checks.values():
        if check.config is not None and check.config.is_ensemble and not check.problems_of_config:
            _check_ensemble(check, check.config, checks)
    for check in checks.values():
        problems.extend(check.problems)
    order = sorted(problems, key=lambda one: (one.model, one.line or 0))
    return Checked(tuple(sorted({*found.models, *found.refused})), tuple(order))


def _check_ensemble(check: ModelCheck, config: ModelConfig, checks: dict[str, ModelCheck]) -> None:
    """Against the configurations of its steps, where these state their tensors themselves."""
    try:
        check_graph(config)
        steps = step_models(config)
        for index, step in enumerate(config.proto.ensemble_scheduling.step):
            if step.model_name not in checks:
                check.add(
                    ConfigError(
                        f"a step of ensemble '{config.name}' has model '{step.model_name}', which is not "
                        "there",
                        field=f"ensemble_scheduling.step[{index}].model_name",
                    )
                )
                return
        if all(checks[step].config is not None and checks[step].states_all_tensors for step in steps):
            compile_ensemble(config, lambda name, version: _Step(name, checks[name].config or config))
    except NaiadError as error:
        check.add(error)
