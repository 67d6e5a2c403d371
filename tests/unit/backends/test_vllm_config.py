"""model.json, multi_lora.json, and what a model of vLLM takes and gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naiad.backends.base import ModelFiles
from naiad.backends.vllm.backend import VllmBackend
from naiad.backends.vllm.contract import complete_config
from naiad.backends.vllm.model_json import EngineArguments, read_model_json
from naiad.config import ModelConfig, complete_backend, parse_pbtxt
from naiad.errors import ConfigError, InvalidArgument, NaiadError, Unsupported


def config_of(text: str = "") -> ModelConfig:
    return ModelConfig(parse_pbtxt(f'name: "m" backend: "vllm" {text}'))


def write(files: ModelFiles, content: object, name: str = "model.json") -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (files.version_directory / name).write_text(text)


def read(files: ModelFiles, content: object, config: str = "") -> EngineArguments:
    write(files, content)
    return read_model_json(config_of(config), files)


def checked(files: ModelFiles, config: str = "", content: object = None) -> ModelConfig:
    """As the server does it, where vllm has an environment."""
    write(files, content or {"model": "x"})
    backend = VllmBackend({})
    parameter = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/e" } }'
    completed = backend.auto_complete(config_of(f"{config} {parameter}"), files)
    backend.check(completed, files)
    return completed


def test_model_json_alone_is_enough() -> None:
    message = config_of().copy_proto()
    message.Clear()
    complete_backend(message, model_name="m", filenames=["model.json", "config.txt"])
    assert (message.backend, message.default_model_filename) == ("vllm", "")


def test_a_model_that_generates(files: ModelFiles) -> None:
    config = checked(files)
    assert [tensor.name for tensor in config.inputs] == [
        "text_input", "image", "stream", "sampling_parameters", "exclude_input_in_output",
        "return_finish_reason", "return_cumulative_logprob", "return_logprobs", "return_num_input_tokens",
        "return_num_output_tokens",
    ]  # fmt: skip
    assert [tensor.optional for tensor in config.inputs] == [False] + [True] * 9
    assert {tensor.name: (tensor.datatype, tensor.dims) for tensor in config.outputs} == {
        "text_output": ("BYTES", (-1,)),
        "finish_reason": ("BYTES", (-1,)),
        "cumulative_logprob": ("FP32", (-1,)),
        "logprobs": ("BYTES", (-1,)),
        "num_input_tokens": ("UINT32", (1,)),
        "num_output_tokens": ("UINT32", (-1,)),
    }
    assert (config.decoupled, config.max_batch_size, config.num_instances) == (True, 0, 1)
    assert config.instance_groups[0].kind == "KIND_MODEL"


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ({"runner": "pooling"}, "embedding"),
        ({"task": "embed"}, "embedding"),
        ({"task": "classify"}, "probabilities"),
        ({"runner": "pooling", "convert": "classify"}, "probabilities"),
    ],
)
def test_a_model_that_pools(files: ModelFiles, arguments: dict[str, str], output: str) -> None:
    config = checked(files, content={"model": "x"} | arguments)
    assert [tensor.name for tensor in config.inputs] == [
        "text_input",
        "pooling_parameters",
        "return_num_input_tokens",
    ]
    assert [tensor.name for tensor in config.outputs] == [output, "num_input_tokens"]
    assert not config.decoupled


def test_what_the_configuration_says_stays(files: ModelFiles) -> None:
    config = checked(
        files,
        """
        input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }, { name: "stream" optional: true } ]
        instance_group [ { count: 2 kind: KIND_CPU } ]
        """,
    )
    assert [tensor.name for tensor in config.inputs][:3] == ["text_input", "stream", "image"]
    assert config.input("stream").data_type == "TYPE_BOOL"  # type: ignore[union-attr]
    assert (config.num_instances, config.instance_groups[0].kind) == (2, "KIND_CPU")
    assert complete_config(config, "generate") == config


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("max_batch_size: 4", "max_batch_size must be 0, got 4"),
        ('input [ { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] } ]', "'prompt': .* no such input"),
        ('output [ { name: "embedding" data_type: TYPE_FP32 dims: [ 1 ] } ]', "no such output"),
        ('input [ { name: "stream" data_type: TYPE_INT8 dims: [ 1 ] } ]', "must be TYPE_BOOL, got TYPE_INT8"),
        ('output [ { name: "logprobs" data_type: TYPE_STRING dims: [ 1 ] } ]', r"dims \[-1\], got \[1\]"),
        ('parameters { key: "isolation" value { string_value: "thread" } }', "isolation is 'thread'"),
        ('parameters { key: "fork_after_load" value { string_value: "yes" } }', "no fork_after_load"),
        ('parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "1" } }', "'true' or 'false'"),
        ('parameters { key: "ENABLE_VLLM_HEALTH_CHECK" value { string_value: "x" } }', "'true' or 'false'"),
    ],
)
def test_configurations_that_are_refused(files: ModelFiles, config: str, words: str) -> None:
    with pytest.raises(NaiadError, match=words):
        checked(files, config)


def test_the_transaction_policy_is_what_the_task_needs(files: ModelFiles) -> None:
    with pytest.raises(ConfigError, match="decoupled must be false"):
        checked(files, "model_transaction_policy { decoupled: true }", {"model": "x", "task": "embed"})
    write(files, {"model": "x"})
    with pytest.raises(ConfigError, match="decoupled must be true"):
        VllmBackend({}).check(config_of('parameters { key: "EXECUTION_ENV_PATH" value { } }'), files)


def test_a_missing_vllm_is_named_with_its_remedy(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write(files, {"model": "x"})
    backend = VllmBackend({})
    config = backend.auto_complete(config_of(), files)
    with pytest.raises(Unsupported, match=r"pip install 'naiad\[vllm\]'"):
        backend.check(config, files)


def test_arguments_are_passed_on(files: ModelFiles) -> None:
    given = {"model": "org/name", "max_model_len": 128, "tensor_parallel_size": "2", "seed": 1}
    arguments = read(files, given)
    assert arguments.values == given | {"tensor_parallel_size": 2}
    assert (arguments.task, arguments.adapters, arguments.num_devices) == ("generate", None, 2)
    assert read(files, {"task": "embed"}).values == {"runner": "pooling", "convert": "embed"}
    assert read(files, {"task": "generate", "runner": "auto"}).values["runner"] == "auto"


def test_places_within_the_directory_of_the_model(files: ModelFiles) -> None:
    arguments = read(files, {"model": "$$TRITON_MODEL_DIRECTORY/weights", "tokenizer": "weights"})
    assert arguments.values == {"model": f"{files.directory}/weights", "tokenizer": "weights"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"m/1/model.json:1:2: Expecting property name"),
        ("[]", "must hold a JSON object"),
        ("\ud7ff" + "[" * 100000, "no JSON|Expecting value"),
        ({"task": "score"}, "task must be one of generate, embed, classify, got 'score'"),
        ({"task": "embed", "runner": "generate"}, "'embed' and runner 'generate' contradict"),
        ({"enable_lora": "yes"}, "enable_lora must be true or false"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size must be a number of at least 1"),
        ({"enable_lora": "True"}, "needs 'm/1/multi_lora.json'"),
    ],
)
def test_a_model_json_that_is_refused(files: ModelFiles, content: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(files, content)


def test_a_missing_model_json(files: ModelFiles) -> None:
    with pytest.raises(InvalidArgument, match="no file 'm/1/model.json'"):
        read_model_json(config_of(), files)


def test_several_gpus_need_kind_model(files: ModelFiles) -> None:
    group = "instance_group [ { kind: KIND_GPU gpus: [ 0 ] } ]"
    assert read(files, {"model": "x"}, group).num_devices == 1
    with pytest.raises(ConfigError, match="KIND_GPU is for models on one GPU"):
        read(files, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, group)


@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ({"doll": 1}, "place of adapter 'doll'"),
        ([], "JSON object"),
        ({"doll": "/nowhere/to/be/found"}, "adapter 'doll' is not there"),
    ],
)
def test_adapters_that_are_refused(files: ModelFiles, adapters: Any, words: str) -> None:
    write(files, adapters, "multi_lora.json")
    with pytest.raises(ConfigError, match=words):
        read(files, {"enable_lora": True})


def test_adapters(files: ModelFiles) -> None:
    (files.directory / "doll").mkdir()
    write(files, {"doll": "$$TRITON_MODEL_DIRECTORY/doll", "hub": "org/adapter"}, "multi_lora.json")
    arguments = read(files, {"enable_lora": "True"})
    assert arguments.adapters == {"doll": str(files.directory / "doll"), "hub": "org/adapter"}
    assert arguments.values == {"enable_lora": True}
    assert read(files, {"enable_lora": "false"}).adapters is None
