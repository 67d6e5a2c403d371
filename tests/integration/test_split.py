"""Batches over ``max_batch_size``: run in parts, answered as one, over every way that leads to a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

import naiad
from naiad.errors import InvalidArgument

from .conftest import ServerProcess, Start, write_model

SPLIT = 'parameters { key: "split_oversize_batches" value { string_value: "true" } }'
CONFIG = """
backend: "python" max_batch_size: 4 dynamic_batching { }
input [ { name: "X" data_type: TYPE_INT32 dims: [ 2 ] }, { name: "S" data_type: TYPE_STRING dims: [ 1 ] } ]
output [
  { name: "Y" data_type: TYPE_INT32 dims: [ 2 ] }, { name: "T" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "SIZE" data_type: TYPE_INT32 dims: [ 1 ] }
]
"""

# SIZE: of the request that the row came in. A row with X = -1 fails, of X = -2 the batch dimension is wrong.
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            s = pb_utils.get_input_tensor_by_name(request, "S").as_numpy()
            if (x == -1).any():
                responses.append(pb_utils.InferenceResponse(error=pb_utils.TritonError("minus one")))
                continue
            y = x[:-1] if (x == -2).any() else x
            responses.append(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("Y", y * 10),
                        pb_utils.Tensor("T", s),
                        pb_utils.Tensor("SIZE", np.full((len(x), 1), len(x), np.int32)),
                    ]
                )
            )
        return responses
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split")
    write_model(path, "split", CONFIG + SPLIT, MODEL)
    write_model(path, "whole", CONFIG, MODEL)
    write_model(path, "cached", CONFIG + SPLIT + " response_cache { enable: true }", MODEL)
    return path


@pytest.fixture(scope="module")
def server(start_server: Start, repository: Path) -> ServerProcess:
    return start_server(repository, "--allow-client-shm=true", "--cache-config=local,size=1000000")


def rows(count: int) -> tuple[Any, Any]:
    x = np.arange(count * 2, dtype=np.int32).reshape(count, 2)
    s = np.array([[f"row {i}" * (i % 3)] for i in range(count)], np.object_)
    return x, s


def inputs_of(module: Any, x: Any, s: Any) -> list[Any]:
    inputs = [module.InferInput("X", list(x.shape), "INT32"), module.InferInput("S", list(s.shape), "BYTES")]
    inputs[0].set_data_from_numpy(x)
    inputs[1].set_data_from_numpy(s)
    return inputs


@pytest.fixture(params=["http", "grpc"])
def kit(request: pytest.FixtureRequest, server: ServerProcess) -> Any:
    module, address = (http_client, server.http) if request.param == "http" else (grpc_client, server.grpc)
    client = module.InferenceServerClient(address)
    yield client, module
    client.close()


def test_parts_come_back_in_order(kit: tuple[Any, Any]) -> None:
    client, module = kit
    x, s = rows(11)
    result = client.infer("split", inputs_of(module, x, s))
    assert (result.as_numpy("Y") == x * 10).all()
    assert [text.decode() for text in result.as_numpy("T")[:, 0]] == list(s[:, 0])
    assert result.as_numpy("SIZE")[:, 0].tolist() == [4] * 8 + [3] * 3


def test_as_json(server: ServerProcess) -> None:
    body = {
        "inputs": [
            {"name": "X", "datatype": "INT32", "shape": [6, 2], "data": list(range(12))},
            {"name": "S", "datatype": "BYTES", "shape": [6, 1], "data": list("abcdef")},
        ],
        "outputs": [{"name": "T"}, {"name": "SIZE"}],
    }
    status, answer = server.json("POST", "/v2/models/split/infer", body)
    assert status == 200
    assert isinstance(answer, dict)
    assert [(each["name"], each["shape"], each["data"]) for each in answer["outputs"]] == [
        ("T", [6, 1], list("abcdef")),
        ("SIZE", [6, 1], [4, 4, 4, 4, 2, 2]),
    ]


def test_into_shared_memory(kit: tuple[Any, Any]) -> None:
    client, module = kit
    x, s = rows(9)
    name, key = f"split_{module.__name__}", f"/naiad_split_{os.getpid()}_{module.__name__}"
    region = shm.create_shared_memory_region(name, key, x.nbytes)
    try:
        client.register_system_shared_memory(name, key, x.nbytes)
        output = module.InferRequestedOutput("Y")
        output.set_shared_memory(name, x.nbytes)
        client.infer("split", inputs_of(module, x, s), outputs=[output])
        assert (shm.get_contents_as_numpy(region, np.int32, [9, 2]) == x * 10).all()
        client.unregister_system_shared_memory(name)
    finally:
        shm.destroy_shared_memory_region(region)


def test_in_process(repository: Path) -> None:
    with naiad.Server(model_repository=repository, pool_bytes=64 << 20) as local:
        x, s = rows(10)
        result = local.model("split").infer({"X": x, "S": s})
        assert (result["Y"] == x * 10).all()
        assert result["SIZE"][:, 0].tolist() == [4] * 8 + [2] * 2
        with pytest.raises(InvalidArgument, match="batch-size must be <= 4 for 'whole'"):
            local.model("whole").infer({"X": x, "S": s})


def test_without_the_parameter_and_without_rows_it_is_refused(kit: tuple[Any, Any]) -> None:
    client, module = kit
    with pytest.raises(InferenceServerException, match="batch-size must be <= 4 for 'whole'"):
        client.infer("whole", inputs_of(module, *rows(5)))
    with pytest.raises(InferenceServerException, match="batch-size must be >= 1 for 'split'"):
        client.infer("split", inputs_of(module, *rows(0)))


@pytest.mark.parametrize(
    ("bad", "words"),
    [(-1, "minus one"), (-2, r"output 'Y' of model 'split' has shape \[3,2\] for a part of 4 rows")],
)
def test_a_part_that_fails_fails_the_batch(kit: tuple[Any, Any], bad: int, words: str) -> None:
    client, module = kit
    x, s = rows(10)
    x[5, 0] = bad
    before = client_statistics(client, module, "split")
    with pytest.raises(InferenceServerException, match=words):
        client.infer("split", inputs_of(module, x, s))
    after = client_statistics(client, module, "split")
    assert after["fail"] - before["fail"] == 1
    assert after["success"] == before["success"]


def test_one_request_is_counted_as_one_and_its_answer_is_kept_whole(server: ServerProcess) -> None:
    client = http_client.InferenceServerClient(server.http)
    x, s = rows(10)
    for _ in range(2):
        assert (client.infer("cached", inputs_of(http_client, x, s)).as_numpy("Y") == x * 10).all()
    counted = client.get_inference_statistics("cached")["model_stats"][0]
    assert counted["inference_count"] == 10
    assert counted["inference_stats"]["success"]["count"] == 2
    assert counted["inference_stats"]["cache_hit"]["count"] == 1
    assert counted["inference_stats"]["cache_miss"]["count"] == 1
    # Those that ran are the parts.
    assert counted["inference_stats"]["compute_infer"]["count"] == 3
    assert all(int(batch["batch_size"]) <= 4 for batch in counted["batch_stats"])
    client.close()


def client_statistics(client: Any, module: Any, model: str) -> dict[str, int]:
    answer = client.get_inference_statistics(model)
    if module is http_client:
        stats = answer["model_stats"][0]["inference_stats"]
        return {name: int(stats[name]["count"]) for name in ("success", "fail")}
    stats = answer.model_stats[0].inference_stats
    return {"success": stats.success.count, "fail": stats.fail.count}
