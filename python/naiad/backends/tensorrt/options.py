"""What a configuration says to TensorRT, and ``--backend-config=tensorrt,...`` to all its models."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.backends.words import YES_NO
from naiad.config import ModelConfig
from naiad.errors import ConfigError, InvalidArgument

ALLOCATIONS = ("STATIC", "ON_PROFILE_CHANGE")
_ALLOCATION = "execution_context_allocation_strategy"
_POLICIES = ("BLOCKING", "DEVICE_BLOCKING")
OPTION_NAMES = frozenset({"coalesce-request-input", "execution-policy", "plugins", "version-compatible"})


@dataclass(frozen=True)
class ServerWideOptions:
    """Of all models."""

    plugins: tuple[str, ...] = ()
    """Libraries with further operators, loaded before the first engine."""
    version_compatible: bool = False
    """Whether an engine may bring the runtime that it was made for: code, which is then run."""


def server_wide_options(options: Mapping[str, str]) -> ServerWideOptions:
    """Raises ConfigError for a value that an option can not have.

    ``coalesce-request-input`` and ``execution-policy`` are taken and change nothing: the inputs of a batch
    always lie in one piece here, and each instance always has its own thread.
    """
    policy = options.get("execution-policy", "BLOCKING")
    if policy not in _POLICIES:
        raise ConfigError(
            f"--backend-config=tensorrt,execution-policy must be {' or '.join(_POLICIES)}, got '{policy}'"
        )
    _flag(options, "coalesce-request-input")
    return ServerWideOptions(
        plugins=tuple(path for path in options.get("plugins", "").split(";") if path),
        version_compatible=_flag(options, "version-compatible"),
    )


def _flag(options: Mapping[str, str], name: str) -> bool:
    word = options.get(name, "false").lower()
    if word not in YES_NO:
        raise ConfigError(f"--backend-config=tensorrt,{name} must be true or false, got '{options[name]}'")
    return YES_NO[word]


def load_plugins(plugins: tuple[str, ...]) -> None:
    """Loads the libraries; again does nothing. Raises InvalidArgument for one that can not be loaded."""
    for path in plugins:
        try:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            said = str(error).replace(path, Path(path).name)
            raise InvalidArgument(
                f"plugin '{Path(path).name}' of --backend-config=tensorrt,plugins can not be loaded: {said}"
            ) from None


@dataclass(frozen=True)
class GraphShape:
    """Sizes for which a CUDA graph is captured, or the least for which it serves."""

    num_rows: int
    """0 where the model does not batch."""
    shapes: Mapping[str, tuple[int, ...]]
    """By input, without batch dimension; empty: those that the profile likes best."""


@dataclass(frozen=True)
class GraphSpec:
    """One CUDA graph of each profile."""

    most: GraphShape
    least: GraphShape | None = None
    """None: it serves what has exactly its sizes."""


@dataclass(frozen=True)
class TensorRtOptions:
    """Of one model."""

    allocation: str = "STATIC"
    """How a context gets its memory: of ``ALLOCATIONS``."""
    stream_priority: int = 0
    """1 for the highest, -1 for the lowest."""
    busy_wait: bool = False
    """Who waits for the GPU spins."""
    pinned_inputs: bool = True
    pinned_outputs: bool = True
    graphs: tuple[GraphSpec, ...] = ()
    """Captured when an instance is made."""


def tensorrt_options(config: ModelConfig) -> TensorRtOptions:
    """Raises ConfigError, in Triton's words, for values that can not be."""
    optimization = config.proto.optimization
    allocation = config.parameters.get(_ALLOCATION, "STATIC")
    if allocation not in ALLOCATIONS:
        raise ConfigError(
            f"Invalid value for '{_ALLOCATION}': '{allocation}' for model instance '{config.name}'. "
            "Supported values are 'STATIC' and 'ON_PROFILE_CHANGE'.",
            field="parameters",
        )
    return TensorRtOptions(
        allocation=allocation,
        stream_priority={optimization.PRIORITY_MAX: 1, optimization.PRIORITY_MIN: -1}.get(
            optimization.priority, 0
        ),
        busy_wait=optimization.cuda.busy_wait_events,
        pinned_inputs=_pinned(optimization, "input_pinned_memory"),
        pinned_outputs=_pinned(optimization, "output_pinned_memory"),
        graphs=_graphs(config) if optimization.cuda.graphs else (),
    )


def _pinned(optimization: Any, name: str) -> bool:
    return not optimization.HasField(name) or bool(getattr(optimization, name).enable)


def _graphs(config: ModelConfig) -> tuple[GraphSpec, ...]:
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
