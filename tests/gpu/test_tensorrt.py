"""Engines of TensorRT on a GPU, served. Skipped, with the reason, where there is none or no TensorRT."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument

sys.path.insert(0, str(Path(__file__).parent))
import tensorrt_engines as engines

NARROW, WIDE = ((1, 16), (2, 16), (4, 16)), ((1, 16), (16, 16), (32, 16))
PROCESS, THREAD = (
    f'parameters {{ key: "isolation" value {{ string_value: "{word}" }} }}\n'
    for word in ("process", "thread")
)
BOTH = 'instance_group { kind: KIND_GPU gpus: [ 0 ] count: 2 profile: [ "0", "1" ] }\n'
GRAPHS = (
    "optimization { cuda { graphs: true graph_spec { batch_size: 4 %s "
    "graph_lower_bound { batch_size: 2 %s } } } }"
)
SHAPES = " ".join(f'input {{ key: "INPUT{k}" value {{ dim: [ 16 ] }} }}' for k in range(2))


@pytest.fixture(scope="module")
def trt() -> Any:
    module = engines.tensorrt_or_skip()
    engines.gpu_or_skip()
    return module


@pytest.fixture(scope="module")
def plan(trt: Any) -> bytes:
    """simple.onnx: OUTPUT0 is the sum and OUTPUT1 the difference of its inputs."""
    profiles = [{"INPUT0": limits, "INPUT1": limits} for limits in (NARROW, WIDE)]
    return engines.build(trt, "simple", profiles)


@pytest.fixture(scope="module")
def server(trt: Any, plan: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[naiad.Server]:
    path = tmp_path_factory.mktemp("tensorrt")
    engines.write_model(path, "completed", plan, PROCESS)
    engines.write_model(path, "process", plan, BOTH + PROCESS)
    engines.write_model(path, "thread", plan, BOTH + THREAD)
    engines.write_model(
        path, "graphs", plan, BOTH + THREAD + "max_batch_size: 32 " + GRAPHS % (SHAPES, SHAPES)
    )
    values = {"x": ((1, 2), (2, 4), (4, 8)), "shape": ((1, 2), (2, 4), (4, 8))}
    engines.write_model(path, "reshape", engines.build(trt, "reshape_to", [values]), THREAD)
    with naiad.Server(path, pool_bytes=256 << 20, control_mode="explicit", load_models=[]) as running:
        yield running


def ask(model: naiad.Model, count: int) -> bool:
    a = np.arange(count * 16, dtype=np.int32).reshape(count, 16)
    b = np.full((count, 16), count, np.int32)
    result = model.infer({"INPUT0": a, "INPUT1": b})
    return bool((result["OUTPUT0"] == a + b).all() and (result["OUTPUT1"] == a - b).all())


def test_an_engine_needs_no_configuration(server: naiad.Server) -> None:
    server.load("completed")
    assert server.model("completed").config["max_batch_size"] == 4
    assert all(ask(server.model("completed"), count) for count in (1, 4, 3))


@pytest.mark.parametrize("name", ["process", "thread", "graphs"])
def test_batches_of_both_profiles(server: naiad.Server, name: str) -> None:
    server.load(name)
    model = server.model(name)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda k: ask(model, 1 + k % 8), range(200)))
    assert all(ask(model, count) for count in (1, 2, 3, 4, 5, 32))
    with pytest.raises(InvalidArgument, match="batch-size must be <= 32"):
        ask(model, 33)


def test_an_output_whose_shape_is_computed(trt: Any, tmp_path: Path) -> None:
    try:
        plan = engines.build(trt, "nonzero", [{"x": ((1,), (4,), (64,))}])
    except engines.NotBuilt as error:
        pytest.skip(f"this TensorRT has no NonZero: {error}")
    engines.write_model(tmp_path, "nonzero", plan, THREAD)
    with naiad.Server(tmp_path, pool_bytes=64 << 20) as server:
        for x in ([0, 1, 0, 2], [0, 0], [1] * 64):
            given = np.array(x, dtype=np.float32)
            found = server.model("nonzero").infer({"x": given})["at"]
            assert (found == np.array(np.nonzero(given))).all()


def test_a_shape_tensor(server: naiad.Server) -> None:
    """Its first value is the number of rows, which no request brings."""
    server.load("reshape")
    model = server.model("reshape")
    assert model.config["input"][1]["is_shape_tensor"]
    for count, width in ((1, 2), (3, 8), (4, 4)):
        x = np.arange(count * width, dtype=np.float32).reshape(count, width)
        assert (model.infer({"x": x, "shape": np.array([width], np.int64)})["y"] == x).all()


def test_the_version_of_an_engine_is_named(trt: Any, plan: bytes, tmp_path: Path) -> None:
    other = plan[:25] + bytes([plan[25] ^ 1]) + plan[26:]
    engines.write_model(tmp_path, "other", other, BOTH + THREAD)
    with (
        naiad.Server(tmp_path, pool_bytes=64 << 20, control_mode="explicit", load_models=[]) as server,
        pytest.raises(
            InvalidArgument, match=f"was made by .* but .* {trt.__version__} is installed.*rebuild"
        ),
    ):
        server.load("other")
