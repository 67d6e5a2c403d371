"""What a configuration says of how a model uses its GPU: ``optimization``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naiad.config import ModelConfig
from naiad.errors import ConfigError

_log = logging.getLogger("naiad.backends")


@dataclass(frozen=True)
class GraphShape:
    """Sizes for which a CUDA graph is captured, or the least for which it serves."""

    num_rows: int
    """0 where the model does not batch."""
    shapes: Mapping[str, tuple[int, ...]]
    """By input, without batch dimension; empty: those that the model likes best."""


@dataclass(frozen=True)
class GraphSpec:
    """One CUDA graph, or one of each profile."""

    most: GraphShape
    least: GraphShape | None = None
    """None: it serves what has exactly its sizes."""


@dataclass(frozen=True)
class GpuOptions:
    """Of the instances of one model."""

    stream_priority: int = 0
    """1 for the highest, -1 for the lowest."""
    busy_wait: bool = False
    """Who waits for the GPU spins."""
    pinned_inputs: bool = True
    pinned_outputs: bool = True
    graphs: tuple[GraphSpec, ...] = ()
    """Captured when an instance is made."""


def gpu_options(config: ModelConfig) -> GpuOptions:
    """Raises ConfigError, in Triton's words, for graphs that can not be."""
    optimization = config.proto.optimization
    return GpuOptions(
        stream_priority={optimization.PRIORITY_MAX: 1, optimization.PRIORITY_MIN: -1}.get(
            optimization.priority, 0
        ),
        busy_wait=optimization.cuda.busy_wait_events,
        pinned_inputs=_pinned(optimization, "input_pinned_memory"),
        pinned_outputs=_pinned(optimization, "output_pinned_memory"),
        graphs=_graph_specs(config),
    )


def log_without_effect(options: GpuOptions, instance: str) -> None:
    """What the core decides for an instance whose stream is the core's."""
    said = {
        "cuda.busy_wait_events": options.busy_wait,
        "input_pinned_memory": not options.pinned_inputs,
        "output_pinned_memory": not options.pinned_outputs,
    }
    names = ", ".join(f"optimization.{name}" for name, is_said in said.items() if is_said)
    if names:
        _log.warning("%s: no effect on a stream of the core's: %s", instance, names)


def _pinned(optimization: Any, name: str) -> bool:
    return not optimization.HasField(name) or bool(getattr(optimization, name).enable)


def _graph_specs(config: ModelConfig) -> tuple[GraphSpec, ...]:
    if not config.proto.optimization.cuda.graphs:
        return ()
    given = config.proto.optimization.cuda.graph_spec
    if not given:
        return tuple(GraphSpec(GraphShape(rows, {})) for rows in _usual_rows(config))
    specs = []
    for spec in given:
        least = None
        if spec.HasField("graph_lower_bound"):
            least = _graph_shape(spec.graph_lower_bound)
        specs.append(GraphSpec(_graph_shape(spec), least))
        _check_graph(config, specs[-1])
    return tuple(specs)


def _usual_rows(config: ModelConfig) -> list[int]:
    """Triton's: the preferred sizes, or small ones, which gain most; and the largest."""
    most = config.max_batch_size
    if most == 0:
        return [0]
    proto = config.proto
    preferred: set[int] = set()
    if proto.HasField("dynamic_batching"):
        preferred = {1, *proto.dynamic_batching.preferred_batch_size}
    elif proto.HasField("sequence_batching") and proto.sequence_batching.HasField("oldest"):
        preferred = {1, *proto.sequence_batching.oldest.preferred_batch_size}
    else:
        preferred = {1, 2, 3, 4, 6, 8, 12, 16}
    return sorted(rows for rows in preferred | {most} if rows <= most)


def _graph_shape(message: Any) -> GraphShape:
    shapes = {name: tuple(shape.dim) for name, shape in sorted(message.input.items())}
    return GraphShape(message.batch_size, shapes)


def _check_graph(config: ModelConfig, spec: GraphSpec) -> None:
    for shape in (spec.most, spec.least):
        if shape is None:
            continue
        if config.max_batch_size == 0 and shape.num_rows != 0:
            raise _wrong(config, "graph spec expects 'batch_size' to be 0 if 'max_batch_size' is 0")
        if config.max_batch_size > 0 and not 1 <= shape.num_rows <= config.max_batch_size:
            raise _wrong(config, f"graph spec expects 'batch_size' to be >= 1 and <= {config.max_batch_size}")
        for name, dims in shape.shapes.items():
            if any(dim < 0 for dim in dims):
                raise _wrong(config, f"graph spec expects input '{name}' to have dimension >= 0")
    if spec.least is None:
        return
    if spec.least.num_rows > spec.most.num_rows:
        raise _wrong(config, "graph lower bound spec expects 'batch_size' to be <= graph spec 'batch_size'")
    for name, dims in spec.most.shapes.items():
        least = spec.least.shapes.get(name)
        if least is None:
            raise _wrong(config, f"graph lower bound spec expects shape for input '{name}'")
        if len(least) != len(dims):
            raise _wrong(
                config,
                f"graph lower bound spec expects to have '{len(dims)}' dimensions, got {len(least)}",
            )
        for size, at_most in zip(least, dims, strict=True):
            if size > at_most:
                raise _wrong(
                    config,
                    f"graph lower bound spec expects input '{name}' to have dimension <= {at_most}",
                )


def _wrong(config: ModelConfig, what: str) -> ConfigError:
    return ConfigError(f"model '{config.name}': {what}", field="optimization.cuda.graph_spec")
