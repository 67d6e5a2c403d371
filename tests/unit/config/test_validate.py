"""Every refusal: the words of Triton 2.51 (asked with these texts) or of its documents, and the field."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.config import complete_backend, complete_defaults, parse_pbtxt, validate
from naiad.errors import ConfigError

A = 'name: "A" data_type: TYPE_INT32 '
OUT = 'output { name: "O" data_type: TYPE_INT32 dims: 4 }'
BATCHING = f'backend: "python" max_batch_size: 8 input {{ {A} dims: 4 }} {OUT} '
DYNAMIC = "dynamic_batching.preferred_batch_size"
STEP = 'step { model_name: "a" input_map { key: "A" value: "A" } output_map { key: "O" value: "O" } }'


def ready(text: str, num_gpus: int = 0) -> Any:
    message = parse_pbtxt(text)
    complete_backend(message, model_name="m", filenames=["model.py"])
    complete_defaults(message, num_gpus=num_gpus)
    return message


def with_input(fields: str, max_batch_size: int = 8) -> str:
    return f'backend: "python" max_batch_size: {max_batch_size} input {{ {fields} }} {OUT}'


def control(fields: str) -> str:
    return BATCHING + f'sequence_batching {{ control_input {{ name: "S" control {{ {fields} }} }} }}'


START = "kind: CONTROL_SEQUENCE_START"
CORRID = "kind: CONTROL_SEQUENCE_CORRID"
ANY = "'int32_false_true', 'fp32_false_true' or 'bool_false_true'"
CONTROL_FIELD = "sequence_batching.control_input[0].control"

REFUSED = [
    ('name: "other"' + BATCHING, "name",
     "unexpected directory name 'm' for model 'other', directory name must equal model name"),
    ('platform: "nosuch"', "platform", "unexpected platform type 'nosuch' for m"),
    ('default_model_filename: "net.bin"', "backend", "must specify 'platform' or 'backend' for 'm'"),
    ('platform: "tensorrt_plan" backend: "onnxruntime"', "platform",
     "unexpected 'platform' and 'backend' pair, got:tensorrt_plan, onnxruntime"),
    ('platform: "mine" backend: "pytorch"', "platform",
     "unexpected 'platform' and 'backend' pair, got:mine, pytorch"),
    ('platform: "ensemble" backend: "python"', "backend",
     "Ensemble model 'm' must have platform type 'ensemble' and empty backend type"),
    ('backend: "python" max_batch_size: -1', "max_batch_size",
     "'max_batch_size' must be non-negative value for m"),
    (BATCHING + "version_policy { specific { versions: 0 } }", "version_policy.specific.versions",
     "version must be an integral value > 0, got 0 in the version policy of model 'm'"),
    (BATCHING + 'instance_group { name: "g" kind: KIND_CPU profile: "0" }', "instance_group.profile",
     "instance group g of model m and platform specifies profile field which is only supported for TensorRT "
     "models"),
    ('platform: "tensorrt_plan" instance_group { name: "g" kind: KIND_CPU profile: "best" }',
     "instance_group.profile",
     "instance group g of model m and platform tensorrt_plan specifies invalid profile best. The field "
     "should contain the string representation of a non-negative integer."),
    # tensors
    (with_input("data_type: TYPE_INT32 dims: 4"), "input[0].name", "model input must specify 'name' for m"),
    (with_input('name: "A" dims: 4'), "input[0].data_type", "model input 'A' must specify 'data_type' for m"),
    (with_input(A), "input[0].dims", "model input 'A' must specify 'dims' for m"),
    (with_input(A + "dims: 0"), "input[0].dims",
     "model input 'A' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m"),
    (with_input(A + "dims: -2"), "input[0].dims",
     "model input 'A' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m"),
    (BATCHING + 'output { name: "P" data_type: TYPE_INT32 }', "output[1].dims",
     "model output 'P' must specify 'dims' for m"),
    (BATCHING + OUT, "output[1].name", "model output 'O' is specified more than once for m"),
    (BATCHING + f"input {{ {A} dims: 4 }}", "input[1].name",
     "model input 'A' is specified more than once for m"),
    (with_input(A + "dims: 4 reshape { shape: [2, 3] }"), "input[0].reshape",
     "model input 'A' has different size for dims and reshape for m"),
    (with_input(A + "dims: 4 reshape { }"), "input[0].reshape",
     "model input 'A' has different size for dims and reshape for m"),
    (with_input(A + "dims: [-1, 4] reshape { shape: [2, -1] }"), "input[0].reshape",
     "model input 'A' has different size for dims and reshape for m"),
    (with_input(A + "dims: 4 reshape { shape: -1 }"), "input[0].reshape",
     "model input 'A' has different size for dims and reshape for m"),
    (with_input(A + "dims: -1 reshape { shape: [-1, -1] }"), "input[0].reshape",
     "model input 'A' has different number of variable-size dimensions for dims and reshape for m"),
    (with_input(A + "dims: 4 reshape { shape: [0, 4] }"), "input[0].reshape",
     "model input 'A' reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension "
     "for m"),
    (with_input(A + "dims: 1 reshape { }", 0), "input[0].reshape",
     "model input 'A' cannot have empty reshape for non-batching model as scalar tensors are not supported "
     "for m"),
    (with_input(A + "dims: [4, 4] format: FORMAT_NCHW"), "input[0].format",
     "model input NHWC/NCHW require 3 dims for m"),
    (with_input(A + "dims: 4 is_shape_tensor: true"), "input[0].is_shape_tensor",
     "shape tensors are only supported for TensorRT platform for m"),
    (with_input(A + "dims: 4 is_non_linear_format_io: true"), "input[0].is_non_linear_format_io",
     "Non-linear IO format is only supported for the TensorRT platform for m"),
    # tensors of a batch
    (BATCHING + 'batch_input { data_type: TYPE_INT64 source_input: "A" }', "batch_input[0].data_type",
     "batch input data type must be TYPE_INT32 or TYPE_FP32 for m"),
    (BATCHING + 'batch_input { data_type: TYPE_INT32 source_input: ["A", "A"] }',
     "batch_input[0].source_input",
     "batch input kind 'BATCH_ELEMENT_COUNT' expects 1 source input, got 2 for m"),
    (BATCHING + 'batch_input { data_type: TYPE_FP32 source_input: "Q" }', "batch_input[0].source_input",
     "unknown source input name 'Q' for m"),
    (BATCHING + 'batch_output { target_name: "O" }', "batch_output[0].source_input",
     "batch output kind 'BATCH_SCATTER_WITH_INPUT_SHAPE' expects 1 source input, got 0 for m"),
    (BATCHING + 'batch_output { target_name: "Z" source_input: "A" }', "batch_output[0].target_name",
     "unknown target output name 'Z' for m"),
    (BATCHING + 'batch_output { target_name: ["O", "O"] source_input: "A" }', "batch_output[0].target_name",
     "target output name 'O' can only be specified once for m"),
    # dynamic batching
    (BATCHING + "dynamic_batching { preferred_batch_size: 0 }", DYNAMIC,
     "dynamic batching preferred size must be positive for m"),
    (BATCHING + "dynamic_batching { preferred_batch_size: [4, 9] }", DYNAMIC,
     "dynamic batching preferred size must be <= max batch size for m"),
    (BATCHING + "dynamic_batching { priority_levels: 2 }", "dynamic_batching.default_priority_level",
     "default priority level must be in range [1, 2] for m"),
    (BATCHING + "dynamic_batching { priority_levels: 2 default_priority_level: 3 }",
     "dynamic_batching.default_priority_level", "default priority level must be in range [1, 2] for m"),
    (BATCHING + "dynamic_batching { priority_levels: 2 default_priority_level: 1 "
     "priority_queue_policy { key: 5 value { } } }", "dynamic_batching.priority_queue_policy",
     "priority queue policy must have priority level in range [1, 2] for m"),
    (BATCHING + "dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }",
     "dynamic_batching.priority_levels",
     "Only one priority level is allowed when 'preserve_ordering' is true for m"),
    (BATCHING + "dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY "
     "default_timeout_microseconds: 5 } }", "dynamic_batching.default_queue_policy.timeout_action",
     "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m"),
    # sequences
    (control(START), CONTROL_FIELD,
     f"sequence batching must specify either {ANY} for CONTROL_SEQUENCE_START for m"),
    (control(START + " int32_false_true: [0, 1, 2]"), CONTROL_FIELD,
     "sequence batching control 'int32_false_true' must have exactly 2 entries for CONTROL_SEQUENCE_START "
     "for m"),
    (control(START + " int32_false_true: [0, 1] bool_false_true: [false, true]"), CONTROL_FIELD,
     "sequence batching specifies more than one from 'int32_false_true', 'fp32_false_true' and "
     "'bool_false_true' "
     "for CONTROL_SEQUENCE_START for m"),
    (control(START + " int32_false_true: [0, 1] } control { " + START + " int32_false_true: [0, 1]"),
     CONTROL_FIELD,
     "sequence batching specifies multiple CONTROL_SEQUENCE_START tensors for m"),
    (control(CORRID + " int32_false_true: [0, 1]"),
     CONTROL_FIELD,
     f"sequence batching must not specify either {ANY} for CONTROL_SEQUENCE_CORRID for m"),
    (control(CORRID + " data_type: TYPE_FP32"), CONTROL_FIELD,
     "unexpected data type for control CONTROL_SEQUENCE_CORRID for m. Allowed data types are TYPE_UINT64, "
     "TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING"),
    (BATCHING + "sequence_batching { control_input { } }", "sequence_batching.control_input[0].name",
     "sequence batching control tensor must have a name for m"),
    (BATCHING + 'sequence_batching { state { input_name: "S" use_growable_memory: true } }',
     "sequence_batching.state[0].use_growable_memory",
     "sequence batching state 'S' with 'use_growable_memory' must have 'use_same_buffer_for_input_output' "
     "too for m"),
    (BATCHING + "sequence_batching { direct { minimum_slot_utilization: 2 } }",
     "sequence_batching.direct.minimum_slot_utilization",
     "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m"),
    (BATCHING + "sequence_batching { oldest { preferred_batch_size: 9 } }",
     "sequence_batching.oldest.preferred_batch_size",
     "sequence batching preferred batch size must be <= max batch size for m"),
    # the rest
    (BATCHING + "response_cache { enable: true } sequence_batching { }", "response_cache.enable",
     "Response Cache does not currently support model m with sequence batching scheduler. Please disable the "
     "response cache."),
    (BATCHING + "response_cache { enable: true } model_transaction_policy { decoupled: true }",
     "response_cache.enable",
     "Response Cache does not currently support model m with 'decoupled' transaction policy. Please disable "
     "the "
     "response cache."),
    ('platform: "ensemble"', "ensemble_scheduling",
     "ensemble scheduling must be set for ensemble m whose platform is ensemble"),
    (BATCHING + f"ensemble_scheduling {{ {STEP} }}", "ensemble_scheduling",
     "ensemble scheduling cannot be set for model 'm' whose platform is not ensemble"),
    ('platform: "ensemble" ensemble_scheduling { }', "ensemble_scheduling.step",
     "must specify 'step' for ensemble 'm'"),
    ('platform: "ensemble" ensemble_scheduling { step { } }', "ensemble_scheduling.step[0].model_name",
     "must specify 'model_name' in step 0 of ensemble 'm'"),
    (f'platform: "ensemble" instance_group {{ }} ensemble_scheduling {{ {STEP} }}', "instance_group",
     "instance group should not be specified for ensemble 'm'"),
    (f'platform: "ensemble" model_warmup {{ }} ensemble_scheduling {{ {STEP} }}', "model_warmup",
     "model warmup cannot be specified for ensemble 'm'"),
    (BATCHING + 'model_warmup { batch_size: 1 inputs { key: "A" value { dims: 4 } } }',
     "model_warmup[0].inputs",
     "warmup setting expects input 'A' to have input_data_type set"),
    (BATCHING + "instance_group { kind: KIND_CPU gpus: 0 }", "instance_group[0].gpus",
     "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs"),
    (BATCHING + "instance_group { gpus: 0 }", "instance_group[0].gpus",
     "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs"),
    (BATCHING + "instance_group { kind: KIND_MODEL gpus: 0 }", "instance_group[0].gpus",
     "instance group m_0 of model m has kind KIND_MODEL but specifies one or more GPUs"),
    (BATCHING + "instance_group { kind: KIND_GPU }", "instance_group[0].gpus",
     "instance group m_0 of model m has kind KIND_GPU but no GPUs are available"),
    (BATCHING + "instance_group { kind: KIND_GPU gpus: 3 }", "instance_group[0].gpus",
     "instance group m_0 of model m specifies invalid or unsupported gpu id 3. GPUs that can be used: none"),
    (BATCHING + 'default_model_filename: "../x/model.py"', "default_model_filename",
     "'default_model_filename' must name a file inside the directory of model 'm'"),
    (BATCHING + 'cc_model_filenames { key: "8.0" value: "/etc/passwd" }', "cc_model_filenames",
     "'cc_model_filenames' must name a file inside the directory of model 'm'"),
    (BATCHING + 'output { name: "P" data_type: TYPE_INT32 dims: 1 label_filename: "a/../../b" }',
     "output[1].label_filename", "'output[1].label_filename' must name a file inside the directory of model "
     "'m'"),
    (BATCHING + 'runtime: "../model.py"', "runtime",
     "'runtime' must name a file inside the directory of model 'm'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "words"), REFUSED, ids=[row[2][:60] for row in REFUSED])
def test_refused_with_field_and_words(text: str, field: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(ready(text), model_name="m")
    assert str(caught.value) == words
    assert caught.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        BATCHING,
        BATCHING + 'platform: "anything"',
        'platform: "pytorch_libtorch"',
        'backend: "pytorch" platform: "torch_aoti"',
        'platform: "tensorrt_plan" input { name: "s" data_type: TYPE_INT32 dims: 2 is_shape_tensor: true }',
        BATCHING + "dynamic_batching { preferred_batch_size: [8, 1] }",
        BATCHING
        + "dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY } }",
        BATCHING + "dynamic_batching { priority_levels: 2 default_priority_level: 2 }",
        with_input(A + "dims: 1 reshape { }"),
        with_input(A + "dims: [4, -1, 2, 3] reshape { shape: [2, 2, -1, 6] }"),
        with_input(A + "dims: [3, 2, 2] format: FORMAT_NCHW"),
        with_input('name: "A" data_type: TYPE_BF16 dims: -1', 0),
        f'platform: "ensemble" ensemble_scheduling {{ {STEP} }}',
        f"ensemble_scheduling {{ {STEP} }}",
        control(START + " fp32_false_true: [0, 1]"),
        control(CORRID + " data_type: TYPE_STRING"),
        BATCHING + 'default_model_filename: "sub/model.py"',
        BATCHING + "version_policy { specific { versions: [1, 3] } }",
        'backend: "python"',
    ],
)
def test_accepted(text: str) -> None:
    validate(ready(text), model_name="m")


def test_gpus_that_are_there_are_accepted() -> None:
    text = BATCHING + "instance_group { kind: KIND_GPU gpus: 1 }"
    validate(ready(text, num_gpus=2), model_name="m", num_gpus=2)
    with pytest.raises(ConfigError, match="invalid or unsupported gpu id 1. GPUs that can be used: 0$"):
        validate(ready(text, num_gpus=1), model_name="m", num_gpus=1)
