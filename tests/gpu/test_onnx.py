"""ONNX models on a GPU, served, beside the CPU. Skipped, with the reason, where the library has no CUDA."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import naiad

SIMPLE = Path(__file__).parents[1] / "cpp" / "backends" / "models" / "simple.onnx"
CONFIG = 'backend: "onnxruntime" max_batch_size: 8 instance_group {{ kind: KIND_GPU gpus: 0 count: {} }}\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[naiad.Server]:
    library = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if "CUDAExecutionProvider" not in library.get_available_providers():
        pytest.skip(f"the installed onnxruntime {library.__version__} has no CUDA: onnxruntime-gpu has")
    root = tmp_path_factory.mktemp("onnx")
    for name, count in (("one", 1), ("two", 2)):
        (root / name / "1").mkdir(parents=True)
        shutil.copy(SIMPLE, root / name / "1" / "model.onnx")
        (root / name / "config.pbtxt").write_text(f'name: "{name}" {CONFIG.format(count)}')
    with naiad.Server(root, pool_bytes=256 << 20) as running:
        yield running


@pytest.mark.parametrize("name", ["one", "two"])
def test_answers_are_right(server: naiad.Server, name: str) -> None:
    model = server.model(name)

    def ask(rows: int) -> None:
        generator = np.random.default_rng()
        a, b = (generator.integers(-1000, 1000, (rows, 16), dtype=np.int32) for _ in range(2))
        answer = model.infer({"INPUT0": a, "INPUT1": b})
        np.testing.assert_array_equal(answer["OUTPUT0"], a + b)
        np.testing.assert_array_equal(answer["OUTPUT1"], a - b)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, [1 + index % 4 for index in range(300)]))
