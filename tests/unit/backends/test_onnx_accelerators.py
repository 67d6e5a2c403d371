"""Execution providers from a configuration, in Triton's words."""

from __future__ import annotations

import pytest

from naiad.backends.onnx_accelerators import wanted_providers
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import ConfigError, Unsupported

GPU = "instance_group { name: 'g' count: 1 kind: KIND_GPU gpus: [ 0 ] }"
CPU = "instance_group { name: 'c' count: 1 kind: KIND_CPU }"


def _config(groups: str, accelerators: str = "", parameters: str = "") -> ModelConfig:
    text = f"name: 'm' backend: 'onnxruntime' {groups} {parameters}"
    return ModelConfig(parse_pbtxt(f"{text} optimization {{ execution_accelerators {{ {accelerators} }} }}"))


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: '{key}' value {{ string_value: '{value}' }} }} "


def test_none_unless_asked_for() -> None:
    assert wanted_providers(_config(CPU)) == []


def test_tensorrt_by_triton_s_names() -> None:
    accelerator = (
        "gpu_execution_accelerator { name: 'tensorrt' parameters { key: 'precision_mode' value: 'FP16' } "
        "parameters { key: 'max_workspace_size_bytes' value: '1073741824' } "
        "parameters { key: 'trt_engine_cache_enable' value: 'true' } } "
        "gpu_execution_accelerator { name: 'cuda' parameters { key: 'gpu_mem_limit' value: '5' } }"
    )
    assert wanted_providers(_config(GPU, accelerator)) == [
        (
            "GPU",
            "TensorRT",
            [
                ("trt_max_workspace_size", "1073741824"),
                ("trt_fp16_enable", "1"),
                ("trt_engine_cache_enable", "1"),
            ],
        ),
        ("GPU", "CUDA", [("gpu_mem_limit", "5")]),
    ]


def test_older_parameters_of_cuda() -> None:
    parameters = _parameter("gpu_mem_limit", "100") + _parameter("arena_extend_strategy", "1")
    assert wanted_providers(_config(GPU, "", parameters)) == [
        ("GPU", "CUDA", [("arena_extend_strategy", "kSameAsRequested"), ("gpu_mem_limit", "100")])
    ]
    with pytest.raises(ConfigError, match="cudnn_conv_algo_search must be 0 or 1 or 2, got 'fast'"):
        wanted_providers(_config(GPU, "", _parameter("cudnn_conv_algo_search", "fast")))
    with pytest.raises(ConfigError, match="given as parameters and as an accelerator"):
        wanted_providers(_config(GPU, "gpu_execution_accelerator { name: 'cuda' }", parameters))


def test_openvino_on_the_cpu() -> None:
    accelerator = (
        "cpu_execution_accelerator { name: 'openvino' parameters { key: 'num_streams' value: '2' } }"
    )
    assert wanted_providers(_config(CPU, accelerator)) == [
        ("CPU", "OpenVINO", [("device_type", "CPU"), ("num_streams", "2")])
    ]


@pytest.mark.parametrize(
    ("accelerator", "message"),
    [
        (
            "gpu_execution_accelerator { name: 'gpu_io' }",
            "no gpu_execution_accelerator 'gpu_io' .* cuda, tensorrt",
        ),
        ("cpu_execution_accelerator { name: 'mkl' }", "no cpu_execution_accelerator 'mkl' .* openvino"),
    ],
)
def test_accelerators_that_are_none(accelerator: str, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        wanted_providers(_config(GPU + CPU, accelerator))


def test_what_no_instance_would_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="TensorRT is for KIND_GPU instances, of which it has none"):
        wanted_providers(_config(CPU, "gpu_execution_accelerator { name: 'tensorrt' }"))
    with pytest.raises(ConfigError, match="CUDA is for KIND_GPU instances"):
        wanted_providers(_config(CPU, "", _parameter("gpu_mem_limit", "1")))
    with pytest.raises(ConfigError, match="OpenVINO is for KIND_CPU instances"):
        wanted_providers(_config(GPU, "cpu_execution_accelerator { name: 'openvino' }"))


def test_a_precision_that_tensorrt_does_not_have() -> None:
    accelerator = (
        "gpu_execution_accelerator { name: 'tensorrt' parameters { key: 'precision_mode' value: 'FP8' } }"
    )
    with pytest.raises(
        ConfigError, match="precision_mode of tensorrt must be FP32, FP16, BF16 or INT8, got 'FP8'"
    ):
        wanted_providers(_config(GPU, accelerator))


_OWN = (
    "max_partition_iterations",
    "min_subgraph_size",
    "dla_enable",
    "dla_core",
    "engine_cache_enable",
    "engine_cache_path",
    "engine_cache_prefix",
    "dump_subgraphs",
    "force_sequential_engine_build",
    "context_memory_sharing_enable",
    "layer_norm_fp32_fallback",
    "timing_cache_enable",
    "timing_cache_path",
    "force_timing_cache",
    "detailed_build_log",
    "build_heuristics_enable",
    "sparsity_enable",
    "builder_optimization_level",
    "auxiliary_streams",
    "tactic_sources",
    "extra_plugin_lib_paths",
    "profile_min_shapes",
    "profile_max_shapes",
    "profile_opt_shapes",
    "dump_ep_context_model",
    "ep_context_file_path",
    "ep_context_embed_mode",
)


def test_every_parameter_that_triton_has_for_tensorrt() -> None:
    names = {f"trt_{name}": f"trt_{name}" for name in _OWN} | {
        "max_workspace_size_bytes": "trt_max_workspace_size",
        "int8_calibration_table_name": "trt_int8_calibration_table_name",
        "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
    }
    for given, passed_on in names.items():
        accelerator = f"name: 'tensorrt' parameters {{ key: '{given}' value: 'True' }}"
        (provider,) = wanted_providers(_config(GPU, f"gpu_execution_accelerator {{ {accelerator} }}"))
        assert provider == ("GPU", "TensorRT", [(passed_on, "1")])


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("cuda", "enable_cuda_graph"),
        ("tensorrt", "trt_cuda_graph_enable"),
        ("tensorrt", "cuda_graph_enable"),
        ("", "enable_cuda_graph"),
    ],
)
def test_graphs_that_would_replay_other_addresses_are_refused(where: str, name: str) -> None:
    def config(value: str) -> ModelConfig:
        if not where:
            return _config(GPU, "", _parameter(name, value))
        parameter = f"parameters {{ key: '{name}' value: '{value}' }}"
        return _config(GPU, f"gpu_execution_accelerator {{ name: '{where}' {parameter} }}")

    for value in ("1", "true", "True"):
        with pytest.raises(Unsupported, match=f"model 'm': {name}: ONNX Runtime's CUDA graphs need"):
            wanted_providers(config(value))
    for value in ("0", "False"):
        wanted_providers(config(value))


@pytest.mark.parametrize(
    ("precision", "option"),
    [("FP16", "trt_fp16_enable"), ("BF16", "trt_bf16_enable"), ("INT8", "trt_int8_enable")],
)
def test_precisions(precision: str, option: str) -> None:
    parameter = f"parameters {{ key: 'precision_mode' value: '{precision}' }}"
    (provider,) = wanted_providers(
        _config(GPU, f"gpu_execution_accelerator {{ name: 'tensorrt' {parameter} }}")
    )
    assert provider[2] == [(option, "1")]
