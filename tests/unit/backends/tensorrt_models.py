"""Engines and configurations for the tests of the tensorrt backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from fake_tensorrt import Arrays, FakeCuda, FakeEngine

from naiad.backends.tensorrt.contracts import EngineTensor, Range, Shape
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.backends.tensorrt.options import tensorrt_options
from naiad.config import InstanceGroup, ModelConfig, complete_defaults, parse_pbtxt

X = 'input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] }\n'
Y = 'output { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }\n'


def configured(text: str = X + Y, *, batch: int = 8, group: str = "", **parameters: str) -> ModelConfig:
    lines = [
        f'name: "m" backend: "tensorrt" platform: "tensorrt_plan" max_batch_size: {batch}',
        f"instance_group {{ kind: KIND_GPU gpus: [ 0 ] {group} }}",
        text,
    ]
    lines += [f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}' for k, v in parameters.items()]
    message = parse_pbtxt("\n".join(lines))
    complete_defaults(message, num_gpus=1)
    return ModelConfig(message)


def profile(least: Shape, best: Shape, most: Shape) -> dict[str, Range]:
    return {"X": Range(least, best, most)}


def double_engine(
    cuda: FakeCuda, profiles: list[dict[str, Range]] | None = None, **of_tensor: Any
) -> FakeEngine:
    """Y = 2 * X, for 1 to 8 rows of 1 to 16 elements."""
    tensors = [EngineTensor(name, name == "X", "FP32", (-1, -1), **of_tensor) for name in "XY"]
    return FakeEngine(
        cuda,
        tensors,
        profiles or [profile((1, 1), (4, 4), (8, 16))],
        lambda inputs: {"Y": inputs["X"] * 2},
        lambda shapes: {"Y": shapes["X"]},
    )


def nonzero_engine(cuda: FakeCuda) -> FakeEngine:
    """Y: the elements of X that are not zero; how many is known when it has run."""

    def compute(inputs: Arrays) -> Arrays:
        return {"Y": inputs["X"][inputs["X"] != 0]}

    tensors = [EngineTensor("X", True, "FP32", (-1,)), EngineTensor("Y", False, "FP32", (-1,))]
    return FakeEngine(cuda, tensors, [profile((1,), (4,), (16,))], compute, lambda shapes: {"Y": (-1,)})


def resize_engine(cuda: FakeCuda, *, batches: bool) -> FakeEngine:
    """Y: zeros of the shape that the values of SIZE say; SIZE_OUT: those values."""
    count = 3 if batches else 2

    def compute(inputs: Arrays) -> Arrays:
        values = inputs["SIZE"]
        return {"Y": np.zeros(tuple(values.tolist()), np.float32), "SIZE_OUT": values.astype(np.int64)}

    def infer(known: Mapping[str, Any]) -> Mapping[str, Shape]:
        return {"Y": known.get("SIZE", (-1,) * count), "SIZE_OUT": (count,)}

    tensors = [
        EngineTensor("X", True, "FP32", (-1, -1) if batches else (-1,)),
        EngineTensor("SIZE", True, "INT32", (count,), is_shape_tensor=True, on_host=True),
        EngineTensor("Y", False, "FP32", (-1,) * count),
        EngineTensor("SIZE_OUT", False, "INT64", (count,), is_shape_tensor=True, on_host=True),
    ]
    ranges = {"X": Range((1, 1), (4, 4), (8, 16)) if batches else Range((1,), (4,), (16,))}
    limits = Range((1,) * count, (2,) * count, (8,) * count)
    return FakeEngine(cuda, tensors, [ranges], compute, infer, values={"SIZE": limits})


RESIZED = (
    X
    + 'input { name: "SIZE" data_type: TYPE_INT32 dims: [ 2 ] is_shape_tensor: true }\n'
    + 'output { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] }\n'
    + 'output { name: "SIZE_OUT" data_type: TYPE_INT64 dims: [ 2 ] is_shape_tensor: true }\n'
)


def made(config: ModelConfig, engine: FakeEngine, cuda: FakeCuda) -> TensorRtInstance:
    group: InstanceGroup = config.instance_groups[0]
    return TensorRtInstance("m_0", config, group, engine, cuda, tensorrt_options(config))
