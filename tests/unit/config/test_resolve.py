"""The whole way from a text to the configuration that is served."""

from __future__ import annotations

import pytest

from naiad.config import (
    BackendCompletion,
    FoundTensor,
    FoundTensors,
    ModelConfig,
    ServerOptions,
    complete_tensors,
    parse_pbtxt,
    resolve,
)
from naiad.errors import ConfigError, Unsupported

FOUND = FoundTensors(
    inputs=(FoundTensor("x", "TYPE_FP32", (-1, 3)),), outputs=(FoundTensor("y", "TYPE_FP32", (-1, 2)),)
)


def onnx(config: ModelConfig) -> ModelConfig:
    message = config.copy_proto()
    complete_tensors(message, FOUND)
    return ModelConfig.of(message)


def by_backend(backend: str) -> BackendCompletion | None:
    return onnx if backend == "onnxruntime" else None


def test_a_bare_onnx_model_needs_no_configuration() -> None:
    config = resolve(None, model_name="m", filenames=["model.onnx"], complete=by_backend)
    assert (config.name, config.backend, config.max_batch_size) == ("m", "onnxruntime", 4)
    assert [tensor.dims for tensor in (*config.inputs, *config.outputs)] == [(3,), (2,)]
    assert config.dynamic_batching is not None
    # The preferred size follows from the batch size which the backend found.
    assert config.dynamic_batching.preferred_batch_sizes == (4,)
    assert [group.instance_names for group in config.instance_groups] == [("m_0", "m_1")]


def test_without_completion_the_backend_is_not_asked() -> None:
    def never(backend: str) -> None:
        raise AssertionError(backend)

    text = parse_pbtxt('backend: "onnxruntime" max_batch_size: 2')
    config = resolve(text, model_name="m", filenames=["model.onnx"], complete=None)
    assert (config.inputs, config.dynamic_batching) == ((), None)
    assert config.num_instances == 2
    with pytest.raises(
        ConfigError, match="model 'm' has no configuration file, and auto-completion is disabled"
    ):
        resolve(None, model_name="m", filenames=["model.onnx"], complete=None)
    assert resolve(parse_pbtxt('backend: "x"'), model_name="m", complete=lambda backend: None).backend == "x"
    with pytest.raises(AssertionError, match="x"):
        resolve(parse_pbtxt('backend: "x"'), model_name="m", complete=never)


def test_the_parsed_message_stays_as_it_is() -> None:
    message = parse_pbtxt('backend: "python"')
    resolve(message, model_name="m", complete=None)
    assert message == parse_pbtxt('backend: "python"')


def test_a_backend_that_completes_to_something_wrong_is_refused() -> None:
    def renames(config: ModelConfig) -> ModelConfig:
        message = config.copy_proto()
        message.name = "other"
        return ModelConfig.of(message)

    with pytest.raises(ConfigError, match="unexpected directory name 'm' for model 'other'"):
        resolve(parse_pbtxt('backend: "python"'), model_name="m", complete=lambda backend: renames)


def test_unsupported_fields_are_refused() -> None:
    with pytest.raises(Unsupported, match="'runtime'"):
        resolve(parse_pbtxt('backend: "python" runtime: "r"'), model_name="m", complete=None)


def test_gpus_are_used_only_where_the_backend_can() -> None:
    text = parse_pbtxt('backend: "onnxruntime" instance_group { }')
    on_cpu = resolve(text, model_name="m", complete=None, num_gpus=2)
    assert [group.kind for group in on_cpu.instance_groups] == ["KIND_CPU"]
    options = ServerOptions(gpu_backends=frozenset({"onnxruntime"}))
    on_gpu = resolve(text, model_name="m", complete=None, num_gpus=2, options=options)
    assert [(group.kind, group.gpus) for group in on_gpu.instance_groups] == [("KIND_GPU", (0, 1))]


def test_asking_for_a_gpu_says_what_is_missing() -> None:
    text = parse_pbtxt('backend: "onnxruntime" instance_group { kind: KIND_GPU }')
    with pytest.raises(ConfigError, match="has kind KIND_GPU but no GPUs are available"):
        resolve(text, model_name="m", complete=None, num_gpus=0)
    with pytest.raises(Unsupported, match="KIND_GPU"):
        resolve(text, model_name="m", complete=None, num_gpus=1)
