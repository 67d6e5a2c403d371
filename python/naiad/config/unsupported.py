"""The fields whose effect is not built yet, although to leave them out would change results or their order.

A model that asks for one of them is refused by the name of the field: never served as if it had not asked. A
row goes when its field gets its effect. Hints that change nothing but speed are kept and listed by
``ignored_hints``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from naiad import protos
from naiad.config.gpu_inputs import CPU_INPUTS_ONLY, wants_gpu_inputs
from naiad.config.gpu_memory_limit import GPU_MEMORY_LIMIT
from naiad.config.metric_controls import has_unknown_metric
from naiad.errors import Unsupported

_KIND = protos.ModelInstanceGroup
_TENSORRT = "tensorrt"
_COPIED_BY_CORE = frozenset({"identity", "onnxruntime"})
"""Backends of which the core brings batches to the GPU, on its streams. Within the server, pytorch too."""


@dataclass(frozen=True)
class ServerOptions:
    """What the server was built or started with, as far as it decides which fields have an effect."""

    gpu_backends: frozenset[str] = frozenset()
    """Backends that can execute on a GPU of this machine."""
    rate_limit: bool = False
    """Whether instances have to get their rate limiter resources before they execute."""
    cache: bool = False
    """Whether answers are kept for models that want it."""
    host_policies: frozenset[str] = frozenset()
    """The names of those that there are."""


@dataclass(frozen=True)
class _Row:
    field: str
    used: Callable[[Any, ServerOptions], bool]


def _elsewhere(used: Callable[[Any, ServerOptions], bool]) -> Callable[[Any, ServerOptions], bool]:
    """Of models of any backend but TensorRT's, for which the field has its effect."""
    return lambda config, options: config.backend != _TENSORRT and used(config, options)


def _any_group(used: Callable[[Any], object]) -> Callable[[Any, ServerOptions], bool]:
    return lambda config, options: any(bool(used(group)) for group in config.instance_group)


# rate_limiter has no effect with --rate-limit=off, as in Triton.
_ROWS = (
    _Row(
        "instance_group.kind: KIND_GPU",
        lambda config, options: (
            config.backend not in options.gpu_backends
            and any(group.kind == _KIND.KIND_GPU for group in config.instance_group)
        ),
    ),
    _Row("instance_group.secondary_devices", _elsewhere(_any_group(lambda group: group.secondary_devices))),
    _Row(
        "ensemble_scheduling.step.model_namespace",
        lambda config, options: any(step.model_namespace for step in config.ensemble_scheduling.step),
    ),
    _Row("model_repository_agents", lambda config, options: bool(config.model_repository_agents.agents)),
    _Row(
        "model_operations.op_library_filename",
        lambda config, options: bool(config.model_operations.op_library_filename),
    ),
    _Row("cc_model_filenames", _elsewhere(lambda config, options: bool(config.cc_model_filenames))),
    _Row(
        "runtime",
        lambda config, options: (
            bool(config.runtime) and (config.backend, config.runtime) != ("pytorch", "model.py")
        ),
    ),
    _Row("model_metrics", lambda config, options: has_unknown_metric(config)),
    _Row(
        "parameters: TRITON_BATCH_STRATEGY_PATH",
        lambda config, options: "TRITON_BATCH_STRATEGY_PATH" in config.parameters,
    ),
)


def refusable_fields() -> tuple[str, ...]:
    """All that ``refuse_unsupported`` may name."""
    return tuple(row.field for row in _ROWS)


def unsupported_fields(message: Any, options: ServerOptions) -> tuple[str, ...]:
    """The fields of a completed configuration which ask for what is not built."""
    return tuple(row.field for row in _ROWS if row.used(message, options))


def refuse_unsupported(message: Any, options: ServerOptions) -> None:
    """Raises Unsupported which names every such field."""
    fields = unsupported_fields(message, options)
    if fields:
        named = ", ".join(f"'{field}'" for field in fields)
        raise Unsupported(f"model '{message.name}' can not be served: {named} not supported by this server")


def ignored_hints(message: Any, options: ServerOptions | None = None) -> tuple[str, ...]:
    """Fields that are kept and printed but do nothing: they would tune speed or memory, never results."""
    return tuple(field for field, used in _hints(message, options or ServerOptions()) if used)


def ignorable_hints() -> tuple[str, ...]:
    """All that ``ignored_hints`` may name."""
    return tuple(field for field, _ in _hints(protos.ModelConfig(), ServerOptions()))


def _hints(message: Any, options: ServerOptions) -> list[tuple[str, Any]]:
    optimization = message.optimization
    by_onnxruntime = message.backend == "onnxruntime"
    on_gpu = any(group.kind == _KIND.KIND_GPU for group in message.instance_group)
    by_model = any(group.kind == _KIND.KIND_MODEL for group in message.instance_group)
    has_streams = message.backend == _TENSORRT or (message.backend == "pytorch" and (on_gpu or by_model))
    within = "isolation" in message.parameters and message.parameters["isolation"].string_value == "thread"
    copied_by_core = on_gpu and (
        message.backend in _COPIED_BY_CORE or (message.backend in ("pytorch", _TENSORRT) and within)
    )
    # The core captures what comes again, in whichever shape.
    captured = copied_by_core and message.backend in ("identity", _TENSORRT)
    # Those of worker processes come over memory of the host, those of decoupled models too.
    gets_gpu_inputs = within and not message.model_transaction_policy.decoupled
    return [
        ("optimization.graph", not by_onnxruntime and optimization.HasField("graph")),
        ("optimization.priority", not (has_streams or copied_by_core) and optimization.priority != 0),
        ("optimization.cuda", not has_streams and not captured and optimization.HasField("cuda")),
        ("optimization.cuda.graph_spec", captured and len(optimization.cuda.graph_spec) > 0),
        ("optimization.cuda.output_copy_stream", has_streams and optimization.cuda.output_copy_stream),
        (
            "optimization.execution_accelerators",
            not by_onnxruntime and optimization.HasField("execution_accelerators"),
        ),
        (
            "optimization.gather_kernel_buffer_threshold",
            not copied_by_core and optimization.gather_kernel_buffer_threshold != 0,
        ),
        ("optimization.eager_batching", optimization.eager_batching),
        (
            f"parameters: {GPU_MEMORY_LIMIT}",
            not copied_by_core and GPU_MEMORY_LIMIT in message.parameters,
        ),
        (
            f"parameters: {CPU_INPUTS_ONLY}",
            message.backend == "python" and not gets_gpu_inputs and wants_gpu_inputs(message),
        ),
        ("input.format", any(io.format for io in message.input)),
        (
            "instance_group.rate_limiter",
            not options.rate_limit
            and any(group.HasField("rate_limiter") for group in message.instance_group),
        ),
        (
            "instance_group.host_policy",
            any(
                group.host_policy and group.host_policy not in options.host_policies
                for group in message.instance_group
            ),
        ),
        ("response_cache.enable", not options.cache and message.response_cache.enable),
    ]
