"""The server around the tensorrt backend: a fake TensorRT stands where the GPU would be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.backends.tensorrt import backend as backend_module
from naiad.backends.tensorrt import libraries
from naiad.backends.tensorrt.failures import CudaError
from naiad.errors import InvalidArgument, NaiadError
from naiad.repository import model_repository

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "backends"))
from fake_tensorrt import FakeCuda
from tensorrt_models import double_engine, resize_engine

THREAD = 'parameters { key: "isolation" value { string_value: "thread" } }\n'
DELAY = "dynamic_batching { preferred_batch_size: 8 max_queue_delay_microseconds: 50000 }\n"


@pytest.fixture
def cudas(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeCuda]:
    """The GPU of each model, by its name."""
    made: dict[str, FakeCuda] = {}

    def load(self: Any, path: Path, model: str, dla_core: int | None) -> Any:
        return resize_engine(made[model], batches=True) if model == "resize" else double_engine(made[model])

    monkeypatch.setattr(backend_module, "find_module", lambda product="": "tensorrt")
    monkeypatch.setattr(libraries, "find_module", lambda product="": "tensorrt")
    monkeypatch.setattr(libraries, "_has_cuda", lambda: True)
    monkeypatch.setattr(model_repository, "gpu_count", lambda: 1)
    monkeypatch.setattr(
        backend_module.TensorRtBackend, "_device", lambda self, model, _: made.setdefault(model, FakeCuda())
    )
    monkeypatch.setattr(backend_module.TensorRtBackend, "_load", load)
    return made


@pytest.fixture
def server(cudas: dict[str, FakeCuda], tmp_path: Path) -> Iterator[naiad.Server]:
    for name, config in (("double", ""), ("resize", DELAY)):
        version = tmp_path / name / "1"
        version.mkdir(parents=True)
        (version / "model.plan").write_bytes(b"ftrt" + bytes(20) + bytes([10, 13, 3, 9]) + bytes(40))
        (version.parent / "config.pbtxt").write_text(THREAD + config)
    with naiad.Server(tmp_path, pool_bytes=64 << 20) as running:
        yield running


def test_an_engine_needs_no_configuration(server: naiad.Server, cudas: dict[str, FakeCuda]) -> None:
    model = server.model("double")
    config = model.config
    assert (config["platform"], config["max_batch_size"]) == ("tensorrt_plan", 8)
    assert config["instance_group"][0]["kind"] == "KIND_GPU"
    for count in (1, 8):
        x = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
        assert (model.infer({"X": x})["Y"] == 2 * x).all()
    server.unload("double")
    assert cudas["double"].is_empty


def test_requests_with_other_shape_values_run_in_other_batches(server: naiad.Server) -> None:
    model = server.model("resize")

    def ask(k: int) -> bool:
        size = np.array([2, 3] if k % 2 else [4, 1], np.int32)
        result = model.infer({"X": np.ones((1, 4), np.float32), "SIZE": size})
        return result["Y"].shape == (1, *size) and (result["SIZE_OUT"] == size).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(32)))
    statistics = model.statistics()
    assert statistics["inference_count"] > statistics["execution_count"]
    with pytest.raises(
        InvalidArgument, match=r"unexpected shape for input 'SIZE'.* Expected \[2\], got \[1,2\]"
    ):
        model.infer({"X": np.ones((1, 4), np.float32), "SIZE": np.ones((1, 2), np.int32)})


def test_a_gpu_that_can_not_be_used_any_more_makes_its_model_unready(
    server: naiad.Server, cudas: dict[str, FakeCuda]
) -> None:
    model, x = server.model("double"), np.ones((1, 4), np.float32)
    cudas["double"].fails["wait"] = CudaError("wait", "cudaErrorIllegalAddress", "an illegal memory access")
    assert model.ready
    with pytest.raises(NaiadError, match="an illegal memory access"):
        model.infer({"X": x})
    assert not model.ready and server.model("resize").ready
    with pytest.raises(NaiadError, match="can not use its GPU any more"):
        model.infer({"X": x})
