"""Optimization profiles: which shapes an engine was made for, and the one that fits a batch best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from naiad.backends.tensorrt.contracts import Engine, Range, Shape
from naiad.config import InstanceGroup
from naiad.errors import ConfigError, InvalidArgument

DEFAULT_NAME = "default"


@dataclass(frozen=True)
class Profile:
    """One of an engine, with what it says of every input."""

    name: str
    """As the configuration has it."""
    index: int
    shapes: Mapping[str, Range]
    """Of the inputs that are no shape tensors, in the order of the engine."""
    values: Mapping[str, Range]
    """Of the shape tensors."""

    def __str__(self) -> str:
        return f"{self.name}[{self.index}]"


@dataclass(frozen=True)
class BatchShapes:
    """What is asked of an engine: by input, and by shape tensor, in the engine's own form."""

    shapes: Mapping[str, Shape]
    values: Mapping[str, Shape]


def profile_indices(model: str, group: InstanceGroup, num_profiles: int) -> list[tuple[str, int]]:
    """Name and index of those that the instances of a group use; the first one where it names none. Raises
    ConfigError for one that there is not.
    """
    found: dict[int, str] = {}
    for name in group.profiles or ("0",):
        if (
            not name.isascii() or not name.isdecimal()
        ):  # an engine is asked before what it completes is checked
            raise ConfigError(
                f"model '{model}': unable to parse profile '{name}'", field="instance_group.profile"
            )
        index = int(name)
        if index >= num_profiles:
            raise ConfigError(
                f"Can not set the specified optimization profile {name}[{index}] for {model}. Expected "
                f"optimization profile index range 0-{num_profiles - 1}",
                field="instance_group.profile",
            )
        found.setdefault(index, name if group.profiles else DEFAULT_NAME)
    return sorted(((name, index) for index, name in found.items()), key=lambda pair: pair[1])


def read_profile(engine: Engine, name: str, index: int) -> Profile:
    inputs = [tensor for tensor in engine.tensors if tensor.is_input]
    values = {
        tensor.name: given
        for tensor in inputs
        if tensor.is_shape_tensor and (given := engine.values(tensor.name, index)) is not None
    }
    shapes = {t.name: engine.shapes(t.name, index) for t in inputs if not t.is_shape_tensor}
    return Profile(name, index, shapes, values)


def choose_profile(profiles: Sequence[Profile], batch: BatchShapes) -> Profile:
    """The one whose best shapes are nearest, among those that allow what is asked; the first of equals.

    Raises InvalidArgument where none does.
    """
    best: Profile | None = None
    shortest = -1
    wrong = ""
    for profile in profiles:
        reason = why_not(profile, batch)
        if reason:
            wrong = wrong or reason
            continue
        if len(profiles) == 1:
            return profile
        distance = _distance(profile, batch)
        if best is None or distance < shortest:
            best, shortest = profile, distance
    if best is not None:
        return best
    if len(profiles) == 1:
        raise InvalidArgument(wrong)
    listed = " ".join(str(profile) for profile in profiles)
    raise InvalidArgument(
        f"failed to find any Optimization Profile among [{listed}] to support the requested dimensions (or "
        f"shape values); of the first one: {wrong}"
    )


def why_not(profile: Profile, batch: BatchShapes) -> str:
    """Why a profile does not allow what is asked; "" where it does."""
    for name, shape in batch.shapes.items():
        reason = outside(shape, profile.shapes[name])
        if reason:
            return f"request specifies invalid shape for input '{name}'. Error details: {reason}"
    for name, values in batch.values.items():
        allowed = profile.values.get(name)
        if allowed is None:
            continue
        if len(values) != len(allowed.most):
            return (
                f"mismatch between the number of shape values of input '{name}'. Expecting "
                f"{len(allowed.most)}. Got {len(values)}"
            )
        for place, value in enumerate(values):
            low, high = allowed.least[place], allowed.most[place]
            if not low <= value <= high:
                return (
                    f"The shape value at index {place} of input '{name}' is expected to be in range from "
                    f"{low} to {high}, Got: {value}"
                )
    return ""


def outside(shape: Shape, allowed: Range) -> str:
    """Where a shape is not what a profile allows, in Triton's words; "" where it is. -1 is any size."""
    if len(shape) != len(allowed.most):
        return f"model expected {len(allowed.most)} dimensions but received {len(shape)} dimensions"
    for place, (size, low, high) in enumerate(zip(shape, allowed.least, allowed.most, strict=True)):
        if size != -1 and not low <= size <= high:
            return (
                f"model expected the shape of dimension {place} to be between {low} and {high} but received "
                f"{size}"
            )
    return ""


def _distance(profile: Profile, batch: BatchShapes) -> int:
    """Manhattan's, as Triton measures it."""
    distance = 0
    for name, shape in batch.shapes.items():
        best = profile.shapes[name].best
        distance += sum(abs(a - b) for a, b in zip(shape, best, strict=True))
    for name, values in batch.values.items():
        if name in profile.values:
            best = profile.values[name].best
            distance += sum(abs(a - b) for a, b in zip(values, best, strict=True))
    return distance
