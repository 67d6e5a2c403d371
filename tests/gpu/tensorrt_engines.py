"""Engines for tests, built of the small ONNX models of tests/cpp/backends by whichever TensorRT is there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.libraries import find_module, require_packages
from naiad.errors import NaiadError

MODELS = Path(__file__).parents[1] / "cpp" / "backends" / "models"
Ranges = dict[str, tuple[Sequence[int], Sequence[int], Sequence[int]]]
"""Of one profile: least, best and most of each input's shape."""


class NotBuilt(Exception):
    """TensorRT does not read this model."""


def tensorrt_or_skip() -> ModuleType:
    """Skips, with the reason, where the packages are not installed."""
    try:
        return importlib.import_module(require_packages())
    except NaiadError as error:
        pytest.skip(str(error))


def gpu_or_skip() -> None:
    """Skips, with the reason, where there is no GPU."""
    from naiad.backends.tensorrt.cuda import num_devices

    try:
        count = num_devices()
    except CudaError as error:
        pytest.skip(f"there is no GPU: {error}")
    if count == 0:
        pytest.skip("there is no GPU")


def has_gpu() -> bool:
    """Whether ``gpu_or_skip`` would not skip."""
    from naiad.backends.tensorrt.cuda import num_devices

    try:
        return num_devices() > 0
    except CudaError:
        return False


def builds_without_gpu() -> bool:
    """TensorRT for RTX compiles for GPUs that are elsewhere."""
    return find_module() == "tensorrt_rtx"


def build(trt: ModuleType, name: str, profiles: Sequence[Ranges]) -> bytes:
    """The engine of ``<name>.onnx`` with these profiles."""
    return build_of(trt, (MODELS / f"{name}.onnx").read_bytes(), profiles)


def build_of(trt: ModuleType, onnx: bytes, profiles: Sequence[Ranges]) -> bytes:
    """The engine of an ONNX model. Raises NotBuilt."""
    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise NotBuilt("; ".join(str(parser.get_error(k).desc()) for k in range(parser.num_errors)))
    config = builder.create_builder_config()
    shaped = {network.get_input(k).name: network.get_input(k) for k in range(network.num_inputs)}
    for ranges in profiles:
        profile: Any = builder.create_optimization_profile()
        for input_name, limits in ranges.items():
            if shaped[input_name].is_shape_tensor:
                profile.set_shape_input(input_name, *limits)
            else:
                profile.set_shape(input_name, *limits)
        assert config.add_optimization_profile(profile) >= 0
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    return bytes(plan)


def write_model(repository: Path, name: str, plan: bytes, config: str) -> Path:
    """One model with version 1; the path of its file."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(f'backend: "tensorrt"\n{config}')
    (version / "model.plan").write_bytes(plan)
    return version / "model.plan"
