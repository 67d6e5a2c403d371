"""Defaults: the backend by files, batching and tensors by what a backend found, instances by devices."""

from __future__ import annotations

from typing import Any

import pytest

from naiad.config import (
    FoundTensor,
    FoundTensors,
    complete_backend,
    complete_defaults,
    complete_tensors,
    parse_pbtxt,
)
from naiad.errors import ConfigError


def backend_of(text: str, filenames: list[str], model_name: str = "m") -> tuple[str, str, str]:
    message = parse_pbtxt(text)
    complete_backend(message, model_name=model_name, filenames=filenames)
    assert message.name == model_name
    return message.backend, message.platform, message.default_model_filename


ONNX = ("onnxruntime", "onnxruntime_onnx", "model.onnx")
TORCH = ("pytorch", "pytorch_libtorch", "model.pt")


@pytest.mark.parametrize(
    ("text", "filenames", "expected"),
    [
        ("", ["model.onnx"], ONNX),
        ("", ["model.py", "model.onnx", "model.pt"], ONNX),
        ("", ["model.plan", "model.onnx"], ("tensorrt", "tensorrt_plan", "model.plan")),
        ("", ["model.xml", "model.bin", "model.pt"], ("openvino", "", "model.xml")),
        ("", ["model.pt"], TORCH),
        ("", ["model.pt2"], ("pytorch", "torch_aoti", "model.pt2")),
        ("", ["model.py", "weights.bin"], ("python", "", "model.py")),
        ("", ["model.json"], ("vllm", "", "")),
        ("", ["model.json", "model.py"], ("python", "", "model.py")),
        ('backend: "onnxruntime"', [], ONNX),
        ('backend: "onnxruntime"', ["model.py"], ONNX),
        ('platform: "onnxruntime_onnx"', ["model.py"], ONNX),
        ('platform: "pytorch_libtorch"', [], TORCH),
        ('platform: "torch_aoti"', [], ("pytorch", "torch_aoti", "model.pt2")),
        ('backend: "pytorch" platform: "torch_aoti"', [], ("pytorch", "torch_aoti", "model.pt2")),
        ('backend: "pytorch"', ["model.pt2"], ("pytorch", "torch_aoti", "model.pt2")),
        ('platform: "tensorrt_plan"', [], ("tensorrt", "tensorrt_plan", "model.plan")),
        ('default_model_filename: "model.onnx"', ["model.py"], ONNX),
        ('backend: "onnxruntime" default_model_filename: "net.onnx"', [], (*ONNX[:2], "net.onnx")),
        ('backend: "python" default_model_filename: "serve.py"', [], ("python", "", "serve.py")),
        ('backend: "vllm"', ["model.json"], ("vllm", "", "")),
        ('backend: "identity"', [], ("identity", "", "")),
        ('platform: "ensemble"', [], ("", "ensemble", "")),
        ("ensemble_scheduling { }", ["model.py"], ("", "ensemble", "")),
        ('platform: "nosuch"', ["model.py"], ("", "nosuch", "")),
    ],
)
def test_backend_platform_and_file_name(
    text: str, filenames: list[str], expected: tuple[str, str, str]
) -> None:
    assert backend_of(text, filenames) == expected


def test_a_custom_backend_is_named_by_the_model() -> None:
    assert backend_of("", [], "echo.identity") == ("identity", "", "model.identity")


@pytest.mark.parametrize("name", ["echo", "echo."])
def test_no_backend_at_all_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Could not determine backend for model '{name}' with no backend"):
        backend_of("", ["weights.bin"], name)


def found(inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]) -> FoundTensors:
    return FoundTensors(
        inputs=tuple(FoundTensor(name, "TYPE_INT64", shape) for name, shape in inputs.items()),
        outputs=tuple(FoundTensor(name, "TYPE_FP32", shape) for name, shape in outputs.items()),
    )


def completed(text: str, tensors: FoundTensors, **options: int) -> Any:
    message = parse_pbtxt(f'name: "m" backend: "onnxruntime" {text}')
    complete_tensors(message, tensors, **options)
    return message


BERT = found({"ids": (-1, -1), "mask": (-1, -1)}, {"logits": (-1, 2)})
FIXED = found({"x": (1, 3)}, {"y": (-1, 3)})


def test_a_model_that_can_batch_gets_a_batch_size_and_the_batcher() -> None:
    message = completed("", BERT)
    assert message.max_batch_size == 4
    assert message.HasField("dynamic_batching")
    assert [(io.name, list(io.dims)) for io in message.input] == [("ids", [-1]), ("mask", [-1])]
    assert [(io.name, list(io.dims)) for io in message.output] == [("logits", [2])]
    assert {io.data_type for io in message.input} == {9}


def test_the_default_batch_size_can_be_set_and_one_needs_no_batcher() -> None:
    message = completed("", BERT, default_max_batch_size=1)
    assert message.max_batch_size == 1
    assert not message.HasField("dynamic_batching")
    message = completed("", BERT, default_max_batch_size=0)
    assert message.max_batch_size == 0
    assert list(message.input[0].dims) == [-1, -1]


def test_what_the_configuration_says_stays() -> None:
    message = completed("max_batch_size: 16 sequence_batching { }", BERT)
    assert message.max_batch_size == 16
    assert message.WhichOneof("scheduling_choice") == "sequence_batching"


def test_inputs_and_outputs_given_mean_that_batching_is_decided() -> None:
    text = (
        'input { name: "ids" data_type: TYPE_INT64 dims: [-1, -1] } input { name: "mask" dims: [-1, -1] } '
        'output { name: "logits" }'
    )
    message = completed(text, BERT)
    assert (message.max_batch_size, message.WhichOneof("scheduling_choice")) == (0, None)
    assert message.input[1].data_type == 9
    assert (message.output[0].data_type, list(message.output[0].dims)) == (11, [-1, 2])


def test_a_subset_of_outputs_is_kept() -> None:
    two = found({"x": (-1, 3)}, {"y": (-1, 3), "z": (-1, 4)})
    message = completed('output { name: "z" }', two)
    assert [(io.name, list(io.dims)) for io in message.output] == [("z", [4])]


def test_a_name_that_the_model_lacks_is_left_for_the_backend_to_refuse() -> None:
    message = completed('input { name: "q" }', BERT)
    assert [(io.name, io.data_type) for io in message.input] == [("q", 0)]


def test_a_model_that_cannot_batch_keeps_its_shapes() -> None:
    message = completed("", FIXED)
    assert (message.max_batch_size, message.WhichOneof("scheduling_choice")) == (0, None)
    assert list(message.input[0].dims) == [1, 3]


def test_a_model_that_cannot_batch_but_shall_is_an_error_that_names_the_tensor() -> None:
    with pytest.raises(ConfigError) as caught:
        completed("max_batch_size: 8", FIXED)
    assert "autofill failed for model 'm': model does not support batching" in str(caught.value)
    assert "first dimension must be -1; tensor 'x' has shape [1, 3]" in str(caught.value)
    assert caught.value.field == "max_batch_size"


def test_scalars() -> None:
    per_row = completed("", found({"x": (-1,)}, {"y": (-1,)}))
    assert list(per_row.input[0].dims) == [1]
    assert per_row.input[0].HasField("reshape")
    assert list(per_row.input[0].reshape.shape) == []
    whole = completed("", found({"x": ()}, {"y": (2,)}))
    assert (whole.max_batch_size, list(whole.input[0].dims), whole.input[0].HasField("reshape")) == (
        0,
        [1],
        False,
    )


def groups(text: str, num_gpus: int = 0) -> list[tuple[str, str, int, list[int]]]:
    message = parse_pbtxt(f'name: "m" {text}')
    complete_defaults(message, num_gpus=num_gpus)
    kinds = {1: "GPU", 2: "CPU", 3: "MODEL"}
    return [
        (group.name, kinds[group.kind], group.count, list(group.gpus)) for group in message.instance_group
    ]


@pytest.mark.parametrize(
    ("text", "num_gpus", "expected"),
    [
        ('backend: "python"', 0, [("m", "CPU", 1, [])]),
        ('backend: "onnxruntime"', 0, [("m", "CPU", 2, [])]),
        ('backend: "onnxruntime"', 2, [("m", "GPU", 1, [0, 1])]),
        ('backend: "onnxruntime" instance_group { count: 3 }', 0, [("m_0", "CPU", 3, [])]),
        ('backend: "onnxruntime" instance_group { kind: KIND_CPU }', 2, [("m_0", "CPU", 2, [])]),
        ('backend: "onnxruntime" instance_group { kind: KIND_MODEL }', 2, [("m_0", "MODEL", 1, [])]),
        ('instance_group { kind: KIND_GPU gpus: [1] }', 2, [("m_0", "GPU", 1, [1])]),
        ('instance_group { kind: KIND_GPU }', 0, [("m_0", "GPU", 1, [])]),
        ('instance_group { gpus: [7] }', 2, [("m_0", "CPU", 1, [7])]),
        ('instance_group [ { name: "a" }, { } ]', 0, [("a", "CPU", 1, []), ("m_1", "CPU", 1, [])]),
        ("instance_group { count: -1 }", 0, [("m_0", "CPU", 1, [])]),
        ('platform: "ensemble"', 2, []),
    ],
)  # fmt: skip
def test_instance_groups(text: str, num_gpus: int, expected: list[tuple[str, str, int, list[int]]]) -> None:
    assert groups(text, num_gpus) == expected


@pytest.mark.parametrize(
    "text", ["", "dynamic_batching { } max_batch_size: 3", "instance_group { }", 'platform: "ensemble"']
)
def test_defaults_twice_change_nothing(text: str) -> None:
    once = parse_pbtxt(f'name: "m" {text}')
    complete_defaults(once)
    twice = parse_pbtxt("")
    twice.CopyFrom(once)
    complete_defaults(twice)
    assert twice == once
