"""For which shapes CUDA graphs are captured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from naiad.backends.gpu_options import GraphShape, GraphSpec
from naiad.backends.model_tensors import ModelTensor
from naiad.backends.tensorrt.bound import BoundContext
from naiad.backends.tensorrt.contracts import Shape
from naiad.backends.tensorrt.profiles import BatchShapes, Profile, why_not
from naiad.config import ModelConfig
from naiad.errors import ConfigError

_FIELD = "optimization.cuda.graph_spec"
Planned = tuple[BoundContext, Mapping[str, Shape], Mapping[str, Shape] | None]
"""A context, the shapes of its inputs, and the least of them that the graph serves."""


def graph_shapes(
    config: ModelConfig,
    spec: GraphSpec,
    contexts: Sequence[BoundContext],
    inputs: Mapping[str, ModelTensor],
) -> Iterator[Planned]:
    """What to capture for one ``graph_spec``, in each context whose profile allows it.

    Raises ConfigError where the spec does not name the inputs of the model, or no profile allows it.
    """
    _check_names(config, spec, contexts[0].profile, inputs)
    wrong = ""
    found = False
    for bound in contexts:
        shapes = _shapes(spec.most, bound.profile, inputs)
        reason = why_not(bound.profile, BatchShapes(shapes, {}))
        if reason:
            wrong = wrong or reason
            continue
        found = True
        least = None if spec.least is None else _shapes(spec.least, bound.profile, inputs)
        yield bound, shapes, least
    if not found and spec.most.shapes:
        raise ConfigError(f"model '{config.name}': graph spec can not be captured: {wrong}", field=_FIELD)


def _check_names(
    config: ModelConfig, spec: GraphSpec, profile: Profile, inputs: Mapping[str, ModelTensor]
) -> None:
    if not spec.most.shapes:
        return
    for name in spec.most.shapes:
        if name not in inputs:
            raise ConfigError(
                f"trt failed to set input shape for unknown input '{name}' for {config.name}", field=_FIELD
            )
    for name in profile.shapes:
        if name not in spec.most.shapes:
            raise ConfigError(
                f"model '{config.name}': graph spec has no shape for input '{name}'", field=_FIELD
            )


def _shapes(wanted: GraphShape, profile: Profile, inputs: Mapping[str, ModelTensor]) -> dict[str, Shape]:
    """In the order of the profile, which is the engine's."""
    shapes: dict[str, Shape] = {}
    for name, allowed in profile.shapes.items():
        given = inputs[name]
        lead = (wanted.num_rows,) if wanted.num_rows and given.has_rows else ()
        if wanted.shapes:
            shapes[name] = (*lead, *wanted.shapes[name])
        else:
            shapes[name] = (*lead, *allowed.best[len(lead) :])
    return shapes
