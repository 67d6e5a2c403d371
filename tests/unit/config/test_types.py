"""The typed view says what the message says."""

from __future__ import annotations

import dataclasses

import pytest

from naiad.config import (
    AllVersions,
    DynamicBatching,
    LatestVersions,
    ModelConfig,
    SpecificVersions,
    VersionPolicy,
    config_data_type,
    parse_pbtxt,
    wire_datatype,
)

TEXT = """
name: "m" platform: "onnxruntime_onnx" backend: "onnxruntime" max_batch_size: 8
default_model_filename: "model.onnx"
input [ { name: "ids" data_type: TYPE_INT64 dims: -1 },
        { name: "text" data_type: TYPE_STRING dims: 1 reshape { } optional: true allow_ragged_batch: true } ]
output { name: "p" data_type: TYPE_FP32 dims: [2, 3] label_filename: "labels.txt" }
instance_group [ { name: "g" kind: KIND_CPU count: 2 }, { name: "h" kind: KIND_GPU count: 1 gpus: [0, 2] } ]
dynamic_batching { preferred_batch_size: [4, 8] max_queue_delay_microseconds: 100 preserve_ordering: true
                   default_queue_policy { max_queue_size: 5 } }
parameters { key: "b" value { string_value: "2" } } parameters { key: "a" value { string_value: "1" } }
metric_tags { key: "team" value: "x" }
"""


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig.of(parse_pbtxt(TEXT))


def test_scalars(config: ModelConfig) -> None:
    assert (config.name, config.platform, config.backend) == ("m", "onnxruntime_onnx", "onnxruntime")
    assert (config.max_batch_size, config.default_model_filename) == (8, "model.onnx")
    assert (config.decoupled, config.is_ensemble) == (False, False)
    assert config.parameters == {"a": "1", "b": "2"}
    assert config.metric_tags == {"team": "x"}


def test_tensors(config: ModelConfig) -> None:
    ids, text = config.inputs
    assert (ids.name, ids.data_type, ids.datatype, ids.dims) == ("ids", "TYPE_INT64", "INT64", (-1,))
    assert (ids.reshape, ids.backend_dims, ids.optional, ids.allow_ragged_batch) == (
        None,
        (-1,),
        False,
        False,
    )
    assert (text.datatype, text.reshape, text.backend_dims) == ("BYTES", (), ())
    assert (text.optional, text.allow_ragged_batch) == (True, True)
    (output,) = config.outputs
    assert (output.dims, output.label_filename, output.optional) == ((2, 3), "labels.txt", False)
    assert config.input("text") is text
    assert config.output("p") is output
    assert config.input("p") is None
    assert config.output("text") is None


def test_the_shape_on_the_wire_has_the_batch_dimension(config: ModelConfig) -> None:
    assert config.wire_shape(config.outputs[0]) == (-1, 2, 3)
    whole = config.copy_proto()
    whole.max_batch_size = 0
    unbatched = ModelConfig.of(whole)
    assert unbatched.wire_shape(unbatched.outputs[0]) == (2, 3)


def test_instances(config: ModelConfig) -> None:
    cpu, gpu = config.instance_groups
    assert (cpu.kind, cpu.count, cpu.gpus, cpu.instance_names) == ("KIND_CPU", 2, (), ("g_0", "g_1"))
    assert (gpu.kind, gpu.gpus, gpu.instance_names) == ("KIND_GPU", (0, 2), ("h_0", "h_1"))
    assert config.num_instances == 4


def test_batching(config: ModelConfig) -> None:
    assert config.dynamic_batching == DynamicBatching(
        preferred_batch_sizes=(4, 8), max_queue_delay_us=100, preserve_ordering=True, max_queue_size=5
    )
    assert ModelConfig.of(parse_pbtxt("sequence_batching { }")).dynamic_batching is None


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", LatestVersions(1)),
        ("version_policy { }", LatestVersions(1)),
        ("version_policy { latest { num_versions: 3 } }", LatestVersions(3)),
        ("version_policy { latest { } }", LatestVersions(0)),
        ("version_policy { all { } }", AllVersions()),
        ("version_policy { specific { versions: [1, 3] } }", SpecificVersions((1, 3))),
    ],
)
def test_version_policy(text: str, policy: VersionPolicy) -> None:
    assert ModelConfig.of(parse_pbtxt(text)).version_policy == policy


def test_a_config_is_apart_from_the_message_it_came_from() -> None:
    message = parse_pbtxt(TEXT)
    config = ModelConfig.of(message)
    message.name = "other"
    config.copy_proto().name = "third"
    assert config.name == "m"
    assert config == ModelConfig.of(parse_pbtxt(TEXT))
    assert config != ModelConfig.of(message)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.proto = message  # type: ignore[misc]


def test_printing(config: ModelConfig) -> None:
    assert parse_pbtxt(config.to_pbtxt()) == config.proto
    assert config.to_json()["instance_group"][1]["gpus"] == [0, 2]


@pytest.mark.parametrize(
    ("wire", "data_type"), [("BYTES", "TYPE_STRING"), ("FP32", "TYPE_FP32"), ("BF16", "TYPE_BF16")]
)
def test_names_of_datatypes(wire: str, data_type: str) -> None:
    assert wire_datatype(data_type) == wire
    assert config_data_type(wire) == data_type
