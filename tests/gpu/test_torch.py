"""PyTorch models on a GPU, served, beside the same model on the CPU, with fresh random data each time.
Skipped, with the reason, where there is no GPU or no torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad

torch = pytest.importorskip("torch", reason="torch is not installed")

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.first = nn.Linear(64, 256)
        self.second = nn.Linear(256, 32)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))
"""
ON_GPU = "instance_group { kind: KIND_GPU gpus: [ 0 ] count: 2 }\n"
THREAD, PROCESS, SHARED = (
    f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'
    for key, value in (("isolation", "thread"), ("isolation", "process"), ("ENABLE_WEIGHT_SHARING", "true"))
)
GRAPHS = (
    "optimization { cuda { graphs: true graph_spec { batch_size: 1 } "
    "graph_spec { batch_size: 8 graph_lower_bound { batch_size: 2 } } } }\n"
)
MODELS = {
    "thread": ON_GPU + THREAD + SHARED,
    "process": ON_GPU + PROCESS,
    "first": ON_GPU + THREAD + "optimization { priority: PRIORITY_MAX }\n",
    "graphs": ON_GPU + THREAD + GRAPHS,
    "graphs_in_a_process": ON_GPU + PROCESS + GRAPHS,
    "unpinned": ON_GPU
    + PROCESS
    + "optimization { input_pinned_memory { enable: false } output_pinned_memory { enable: false } }\n",
}
GIVES_GPU_TENSORS = """
import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.device = f"cuda:{args['model_instance_device_id']}"

    def execute(self, requests):
        responses = []
        for request in requests:
            x = torch.from_dlpack(pb_utils.get_input_tensor_by_name(request, "x").to_dlpack()).to(self.device)
            y = pb_utils.Tensor.from_dlpack("y", x * 3)
            assert not y.is_cpu()
            responses.append(pb_utils.InferenceResponse([y]))
        return responses
"""
IO = (
    'input {{ name: "x" data_type: TYPE_FP32 dims: [ {} ] }}\n'
    'output {{ name: "y" data_type: TYPE_FP32 dims: [ {} ] }}\n'
)


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip(f"torch {torch.__version__} sees no GPU")
    from naiad.engine import gpu_absence, gpu_count

    if gpu_count() == 0:
        pytest.skip(f"naiad's core has no GPU: {gpu_absence()}")


@pytest.fixture(scope="module")
def server(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[naiad.Server]:
    root = tmp_path_factory.mktemp("torch")
    for name, text in MODELS.items():
        write(root, name, SOURCE, f'backend: "pytorch" max_batch_size: 8\n{IO.format(64, 32)}{text}')
    text = 'backend: "python" max_batch_size: 8\n' + IO.format(4, 4)
    write(
        root, "gives_gpu_tensors", GIVES_GPU_TENSORS, text + "instance_group { kind: KIND_GPU gpus: [ 0 ] }"
    )
    with naiad.Server(root, pool_bytes=256 << 20) as running:
        yield running


def write(root: Path, name: str, source: str, text: str) -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "1" / "model.py").write_text(source)
    (root / name / "config.pbtxt").write_text(f'name: "{name}" {text}')


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same network on the CPU."""
    path = tmp_path_factory.mktemp("reference") / "net.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("net", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Net().eval()


def images(rows: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng().standard_normal((rows, 64), dtype=np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_the_cpu(server: naiad.Server, reference: Any, name: str) -> None:
    network, model = reference, server.model(name)

    def ask(rows: int) -> None:
        given = images(rows)
        with torch.inference_mode():
            expected = network(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(model.infer({"x": given})["y"], expected, rtol=1e-2, atol=1e-2)

    for rows in range(1, 9):
        ask(rows)
    # Many at a time: batches under way beside one another, joined of several requests.
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, [1 + index % 4 for index in range(200)]))


def test_a_python_model_gives_tensors_of_its_gpu(server: naiad.Server) -> None:
    given = np.random.default_rng().standard_normal((3, 4), dtype=np.float32)
    answer = server.model("gives_gpu_tensors").infer({"x": given})["y"]
    np.testing.assert_array_equal(answer, given * 3)


def test_nvml_tells_of_this_gpu(gpu: None) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    from naiad.metrics.families import exposition
    from naiad.metrics.machine import gpu_collector

    collector = gpu_collector()
    assert collector is not None
    text = exposition(collector.collect()).decode()
    for family in ("nv_gpu_utilization", "nv_gpu_memory_total_bytes", "nv_gpu_memory_used_bytes"):
        assert f'{family}{{gpu_uuid="' in text
