"""Models of torch, served: in worker processes and on threads, gathered into batches."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.errors import Internal, InvalidArgument

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'naiad[torch]'")

ADD_SUB = """
backend: "pytorch" max_batch_size: 8
input [ { name: "a" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "b" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT__1" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { max_queue_delay_microseconds: 20000 }
parameters { key: "isolation" value { string_value: "%s" } }
"""


COMPILED = """
backend: "pytorch" platform: "torch_aoti" max_batch_size: 8
input [ { name: "KWARGS[k]" data_type: TYPE_FP32 dims: [ 4 ] } ]
input [ { name: "ARGS[0]" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "RESULT[sum]" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "RESULT[parts][1]" data_type: TYPE_FP32 dims: [ 4 ] } ]
"""

COMPILE = """
import sys

import torch


class Net(torch.nn.Module):
    def forward(self, x, *, k):
        return {"sum": x + k, "parts": (x * 2, x - k)}


rows = torch.export.Dim("rows")
shapes = {"x": {0: rows}, "k": {0: rows}}
arguments = (torch.zeros(3, 4),), {"k": torch.zeros(3, 4)}
program = torch.export.export(Net(), *arguments, dynamic_shapes=shapes)
torch._inductor.aoti_compile_and_package(program, package_path=sys.argv[1])
"""


class AddSub(torch.nn.Module):  # type: ignore[misc,name-defined]
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a - b


def version(repository: Path, name: str, config: str | None = None) -> Path:
    path = repository / name / "1"
    path.mkdir(parents=True)
    if config is not None:
        (path.parent / "config.pbtxt").write_text(config)
    return path


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for isolation in ("process", "thread"):
            torch.jit.script(AddSub()).save(str(version(path, isolation, ADD_SUB % isolation) / "model.pt"))
    rows = torch.export.Dim("rows")
    linear = torch.nn.Linear(3, 2)
    program = torch.export.export(linear, (torch.zeros(2, 3),), dynamic_shapes=({0: rows},))
    torch.export.save(program, version(path, "exported") / "model.pt2")
    version(path, "broken", ADD_SUB % "process").joinpath("model.pt").write_bytes(b"nothing")
    return path


@pytest.fixture(scope="module")
def server(repository: Path) -> Any:
    loaded = ["process", "thread", "exported"]
    with naiad.Server(
        repository, pool_bytes=256 << 20, control_mode="explicit", load_models=loaded
    ) as running:
        yield running


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_batch_is_one_call_and_each_request_gets_its_rows(server: Any, isolation: str) -> None:
    model = server.model(isolation)

    def ask(k: int) -> bool:
        count = 1 + k % 3
        a = np.full((count, 5), k, np.float32)
        result = model.infer({"a": a, "b": np.arange(5, dtype=np.float32).repeat(count).reshape(5, count).T})
        both = result["OUTPUT__0"] + result["OUTPUT__1"]
        return bool((both == 2 * a).all() and result["OUTPUT__0"].shape == (count, 5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))
    statistics = model.statistics()
    assert statistics["inference_count"] > statistics["execution_count"]


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_failure_is_that_of_its_request(server: Any, isolation: str) -> None:
    model = server.model(isolation)
    with pytest.raises(Internal, match="message: RuntimeError: The size of tensor a"):
        model.infer({"a": np.ones((1, 2), np.float32), "b": np.ones((1, 3), np.float32)})
    assert model.infer({"a": np.ones((1, 2), np.float32), "b": np.ones((1, 2), np.float32)})


def test_an_exported_program_needs_no_configuration(server: Any) -> None:
    model = server.model("exported")
    assert model.infer({"input": np.ones((4, 3), np.float32)})["OUTPUT__0"].shape == (4, 2)


def test_a_file_that_is_none_says_so(server: Any) -> None:
    with pytest.raises(InvalidArgument, match="'model.pt' is no model file of PyTorch"):
        server.load("broken")


@pytest.mark.timeout(300)  # to compile the smallest model takes most of a minute
def test_an_aotinductor_package(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("AOTInductor compiles with g++, which is not installed")
    path = version(tmp_path, "compiled", COMPILED) / "model.pt2"
    subprocess.run([sys.executable, "-c", COMPILE, str(path)], check=True, capture_output=True)
    with naiad.Server(tmp_path, pool_bytes=64 << 20) as server:
        result = server.model("compiled").infer(
            {"ARGS[0]": np.ones((3, 4), np.float32), "KWARGS[k]": np.full((3, 4), 2, np.float32)}
        )
    assert result["RESULT[sum]"].tolist() == [[3] * 4] * 3
    assert result["RESULT[parts][1]"].tolist() == [[-1] * 4] * 3
