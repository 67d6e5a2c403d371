"""Fields without an effect yet: refused by name where results would change, kept where they are hints."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.config import ServerOptions, complete_defaults, ignored_hints, parse_pbtxt, refuse_unsupported
from naiad.errors import Unsupported

BASE = 'name: "m" backend: "python" max_batch_size: 8 '

ROWS = [
    (BASE + "instance_group { kind: KIND_GPU }", "instance_group.kind: KIND_GPU"),
    (BASE + "instance_group { secondary_devices { } }", "instance_group.secondary_devices"),
    (BASE + 'ensemble_scheduling { step { model_namespace: "n" } }',
     "ensemble_scheduling.step.model_namespace"),
    (BASE + 'model_repository_agents { agents { name: "checksum" } }', "model_repository_agents"),
    (BASE + 'model_operations { op_library_filename: "x.so" }', "model_operations.op_library_filename"),
    (BASE + 'cc_model_filenames { key: "8.0" value: "x" }', "cc_model_filenames"),
    (BASE + 'runtime: "model.py"', "runtime"),
    (BASE + "model_metrics { metric_control { } }", "model_metrics"),
    (BASE + 'parameters { key: "TRITON_BATCH_STRATEGY_PATH" value { string_value: "x.so" } }',
     "parameters: TRITON_BATCH_STRATEGY_PATH"),
]  # fmt: skip


def ready(text: str, num_gpus: int = 0) -> Any:
    message = parse_pbtxt(text)
    complete_defaults(message, num_gpus=num_gpus)
    return message


@pytest.mark.parametrize(("text", "field"), ROWS, ids=[field for _, field in ROWS])
def test_refused_by_name(text: str, field: str) -> None:
    message = ready(text)
    with pytest.raises(Unsupported) as caught:
        refuse_unsupported(message, ServerOptions())
    assert (
        str(caught.value)
        == f"model '{message.name}' can not be served: '{field}' not supported by this server"
    )


def test_all_fields_are_named_at_once() -> None:
    with pytest.raises(Unsupported, match="'runtime', 'model_metrics' not supported"):
        refuse_unsupported(ready(BASE + 'runtime: "r" model_metrics { metric_control { } }'), ServerOptions())


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        BASE + "dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 100 }",
        BASE + "dynamic_batching { default_queue_policy { max_queue_size: 3 } }",
        BASE + "dynamic_batching { preserve_ordering: true } instance_group { count: 1 }",
        BASE + "instance_group { count: 4 kind: KIND_MODEL }",
        BASE + "response_cache { enable: false } model_transaction_policy { decoupled: false }",
        BASE + 'metric_tags { key: "team" value: "a" } parameters { key: "k" value { string_value: "v" } }',
        BASE + 'input { name: "x" optional: true reshape { shape: [1] } } version_policy { all { } }',
        BASE + 'output { name: "y" label_filename: "labels.txt" } default_model_filename: "serve.py"',
        BASE + "optimization { graph { level: 1 } eager_batching: true }",
    ],
)
def test_what_has_its_effect_or_is_a_hint_is_served(text: str) -> None:
    refuse_unsupported(ready(text), ServerOptions())


def test_what_is_tensorrt_s_acts_for_its_models() -> None:
    message = ready(
        'name: "m" platform: "tensorrt_plan" backend: "tensorrt" cc_model_filenames { key: "8.0" value: "x" '
        '} instance_group { profile: "0" secondary_devices { } } '
        'input { name: "x" is_shape_tensor: true is_non_linear_format_io: true } '
        "optimization { priority: PRIORITY_MAX cuda { graphs: true output_copy_stream: true } }"
    )
    refuse_unsupported(message, ServerOptions())
    assert ignored_hints(message) == ("optimization.cuda.output_copy_stream",)


def test_streams_and_graphs_act_for_models_of_torch_on_a_gpu() -> None:
    text = 'name: "m" backend: "pytorch" optimization { priority: PRIORITY_MAX cuda { graphs: true } } '
    on_gpu = ready(text + "instance_group { kind: KIND_GPU gpus: 0 }", num_gpus=1)
    assert ignored_hints(on_gpu) == ()
    assert ignored_hints(ready(text)) == ("optimization.priority", "optimization.cuda")


def test_graphs_of_the_core_are_of_whatever_comes_again() -> None:
    wanted = "optimization { cuda { graphs: true graph_spec { batch_size: 2 } } }"
    group = "instance_group { kind: KIND_GPU gpus: 0 }"
    thread = 'parameters { key: "isolation" value { string_value: "thread" } }'

    def hints(text: str) -> tuple[str, ...]:
        return ignored_hints(ready(f'name: "m" {text} {wanted}', num_gpus=1))

    assert hints(f'backend: "identity" {group}') == ("optimization.cuda.graph_spec",)
    assert hints(f'backend: "tensorrt" {group} {thread}') == ("optimization.cuda.graph_spec",)
    assert hints(f'backend: "tensorrt" {group}') == ()
    assert hints('backend: "identity" instance_group { kind: KIND_CPU }') == ("optimization.cuda",)


@pytest.mark.parametrize(
    ("backend", "acts"),
    [
        ('"onnxruntime"', True),
        ('"pytorch" parameters { key: "isolation" value { string_value: "thread" } }', True),
        ('"tensorrt" parameters { key: "isolation" value { string_value: "thread" } }', True),
        ('"pytorch"', False),
        ('"tensorrt"', False),
    ],
)
def test_kernels_gather_where_the_core_brings_batches_to_the_gpu(backend: str, acts: bool) -> None:
    text = (
        f'name: "m" backend: {backend} instance_group {{ kind: KIND_GPU gpus: 0 }} '
        "optimization { gather_kernel_buffer_threshold: 8 }"
    )
    hints = ignored_hints(ready(text, num_gpus=1))
    assert hints == (() if acts else ("optimization.gather_kernel_buffer_threshold",))


def test_a_backend_with_gpu_execution_may_ask_for_gpus() -> None:
    message = ready(BASE + "instance_group { kind: KIND_GPU gpus: 0 }")
    refuse_unsupported(message, ServerOptions(gpu_backends=frozenset({"python"})))
    with pytest.raises(Unsupported, match="KIND_GPU"):
        refuse_unsupported(message, ServerOptions(gpu_backends=frozenset({"onnxruntime"})))


def test_rate_limiter_resources_count_only_with_the_rate_limiter() -> None:
    message = ready(BASE + 'instance_group { rate_limiter { resources { name: "R" count: 1 } } }')
    refuse_unsupported(message, ServerOptions())
    assert ignored_hints(message) == ("instance_group.rate_limiter",)
    assert ignored_hints(message, ServerOptions(rate_limit=True)) == ()


def test_the_cache_is_a_hint_without_one() -> None:
    message = ready(BASE + "response_cache { enable: true }")
    assert ignored_hints(message) == ("response_cache.enable",)
    assert ignored_hints(message, ServerOptions(cache=True)) == ()


def test_a_host_policy_that_there_is_not_is_a_hint() -> None:
    message = ready(BASE + 'instance_group { host_policy: "near" }')
    refuse_unsupported(message, ServerOptions())
    assert ignored_hints(message) == ("instance_group.host_policy",)
    assert ignored_hints(message, ServerOptions(host_policies=frozenset({"near"}))) == ()


def test_what_the_core_does_on_a_gpu_is_no_hint_there() -> None:
    asked = (
        'name: "m" backend: "identity" instance_group { kind: KIND_%s } '
        "optimization { priority: PRIORITY_MAX gather_kernel_buffer_threshold: 2 }"
    )
    assert ignored_hints(parse_pbtxt(asked % "GPU")) == ()
    assert ignored_hints(parse_pbtxt(asked % "CPU")) == (
        "optimization.priority",
        "optimization.gather_kernel_buffer_threshold",
    )


def test_hints_are_listed() -> None:
    assert ignored_hints(ready(BASE)) == ()
    message = ready(
        BASE + "optimization { graph { level: -1 } priority: PRIORITY_MAX cuda { graphs: true } "
        "eager_batching: true execution_accelerators { } gather_kernel_buffer_threshold: 2 } "
        'input { name: "x" format: FORMAT_NHWC dims: [1, 2, 3] }'
    )
    assert ignored_hints(message) == (
        "optimization.graph",
        "optimization.priority",
        "optimization.cuda",
        "optimization.execution_accelerators",
        "optimization.gather_kernel_buffer_threshold",
        "optimization.eager_batching",
        "input.format",
    )
