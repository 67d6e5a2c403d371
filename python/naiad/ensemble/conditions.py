"""Steps that run only when a tensor says so.

``parameters { key: "when:2" value { string_value: "!FOUND" } }``: step 2 runs where FOUND is false.
"""

from __future__ import annotations

from dataclasses import dataclass

from naiad.config import ModelConfig
from naiad.errors import ConfigError

_PREFIX = "when:"


@dataclass(frozen=True)
class Condition:
    """A BOOL tensor of the ensemble, and what its first element must be."""

    tensor: str
    expected: bool


def read_conditions(config: ModelConfig) -> dict[int, Condition]:
    """Step (its place, from 0) -> when it runs. Raises ConfigError for a step that there is not."""
    conditions = {}
    num_steps = len(config.proto.ensemble_scheduling.step)
    for key, value in config.parameters.items():
        if not key.startswith(_PREFIX):
            continue
        place = key.removeprefix(_PREFIX)
        if not place.isdecimal() or int(place) >= num_steps:
            raise ConfigError(
                f"parameter '{key}' of ensemble '{config.name}': expected a step from 0 to {num_steps - 1} "
                f"behind '{_PREFIX}'",
                field="parameters",
            )
        tensor = value.removeprefix("!")
        if not tensor:
            raise ConfigError(
                f"parameter '{key}' of ensemble '{config.name}' names no tensor", field="parameters"
            )
        conditions[int(place)] = Condition(tensor, not value.startswith("!"))
    return conditions
