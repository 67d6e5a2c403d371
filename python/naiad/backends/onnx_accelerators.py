"""The execution providers of ONNX Runtime that a configuration asks for, in Triton's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naiad.config import ModelConfig
from naiad.errors import ConfigError, Unsupported

Provider = tuple[str, str, list[tuple[str, str]]]
"""Kind of the instances' device ("CPU", "GPU"), the library's name for the provider, its options."""

CUDA_PARAMETERS = frozenset(
    {"arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream", "gpu_mem_limit"}
)
"""``parameters`` of a configuration that are options of CUDA: Triton's older way to say them."""

_CUDA_WORDS = {
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
}
_TENSORRT_NAMES = {
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
    "max_workspace_size_bytes": "trt_max_workspace_size",
}
_PRECISIONS: dict[str, list[tuple[str, str]]] = {
    "FP32": [],
    "FP16": [("trt_fp16_enable", "1")],
    "BF16": [("trt_bf16_enable", "1")],
    "INT8": [("trt_int8_enable", "1")],
}
_GRAPHS = frozenset({"cuda_graph_enable", "enable_cuda_graph", "trt_cuda_graph_enable"})
_OFF = frozenset({"0", "false"})
_FIELD = "optimization.execution_accelerators"


def wanted_providers(config: ModelConfig) -> list[Provider]:
    """Those of ``optimization.execution_accelerators`` and of the older parameters, in their order.

    Whether the library has them, and takes their options, it says itself when an instance is made. Raises
    ConfigError for values that can not be, and for what no instance of the model would run with; Unsupported
    for an accelerator that ONNX Runtime models do not have.
    """
    accelerators = config.proto.optimization.execution_accelerators
    _refuse_graphs(config, config.parameters)
    on_gpu = [_of_gpu(config, one) for one in accelerators.gpu_execution_accelerator]
    cuda = _cuda_parameters(config)
    if cuda:
        if any(name == "CUDA" for _, name, _ in on_gpu):
            raise ConfigError(
                f"model '{config.name}': options of cuda are given as parameters and as an accelerator",
                field="parameters",
            )
        on_gpu.append(("GPU", "CUDA", cuda))
    on_cpu = [_of_cpu(config, one) for one in accelerators.cpu_execution_accelerator]
    kinds = {group.kind for group in config.instance_groups}
    for providers, kind in ((on_gpu, "KIND_GPU"), (on_cpu, "KIND_CPU")):
        if providers and kind not in kinds:
            named = ", ".join(name for _, name, _ in providers)
            raise ConfigError(
                f"model '{config.name}': {named} is for {kind} instances, of which it has none",
                field=f"{_FIELD}, instance_group.kind",
            )
    return on_gpu + on_cpu


def _of_gpu(config: ModelConfig, accelerator: Any) -> Provider:
    given: Mapping[str, str] = dict(accelerator.parameters)
    _refuse_graphs(config, given)
    if accelerator.name == "cuda":
        return "GPU", "CUDA", sorted(given.items())
    if accelerator.name != "tensorrt":
        raise _unknown(config, "gpu", accelerator.name, "cuda, tensorrt")
    options: list[tuple[str, str]] = []
    for key, value in sorted(given.items()):
        if key == "precision_mode":
            if value not in _PRECISIONS:
                raise ConfigError(
                    f"model '{config.name}': precision_mode of tensorrt must be FP32, FP16, BF16 or INT8, "
                    f"got '{value}'",
                    field=f"{_FIELD}.gpu_execution_accelerator.parameters",
                )
            options += _PRECISIONS[value]
        else:
            options.append(
                (_TENSORRT_NAMES.get(key, key), {"true": "1", "false": "0"}.get(value.lower(), value))
            )
    return "GPU", "TensorRT", options


def _refuse_graphs(config: ModelConfig, given: Mapping[str, str]) -> None:
    # A replay reads and writes where the captured run did; here each batch has blocks of its own.
    for name in sorted(_GRAPHS & given.keys()):
        if given[name].lower() not in _OFF:
            raise Unsupported(
                f"model '{config.name}': {name}: ONNX Runtime's CUDA graphs need inputs and outputs at the "
                f"same addresses in each run, and those of this server's batches differ; leave it out, or "
                f"say 0"
            )


def _of_cpu(config: ModelConfig, accelerator: Any) -> Provider:
    if accelerator.name != "openvino":
        raise _unknown(config, "cpu", accelerator.name, "openvino")
    return "CPU", "OpenVINO", sorted(({"device_type": "CPU"} | dict(accelerator.parameters)).items())


def _cuda_parameters(config: ModelConfig) -> list[tuple[str, str]]:
    options = []
    for name in sorted(CUDA_PARAMETERS & config.parameters.keys()):
        value = config.parameters[name]
        words = _CUDA_WORDS.get(name)
        if words is not None:
            if value not in words:
                raise ConfigError(
                    f"model '{config.name}': parameter {name} must be {' or '.join(words)}, got '{value}'",
                    field="parameters",
                )
            value = words[value]
        options.append((name, value))
    return options


def _unknown(config: ModelConfig, kind: str, name: str, known: str) -> Unsupported:
    return Unsupported(
        f"model '{config.name}': there is no {kind}_execution_accelerator '{name}' for ONNX Runtime models; "
        f"there are: {known}"
    )
