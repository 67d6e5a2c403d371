"""What models share beside the machine: the response cache and the rate limiter; and what instances do before
they serve.
"""

from __future__ import annotations

import concurrent.futures
import json
import struct
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import naiad
from naiad.errors import InvalidArgument

from .conftest import ServerProcess, Start, write_model

COUNTING = """
backend: "python"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
%s
"""

# N is how many requests the model has seen; a negative X fails.
COUNTING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    seen = 0

    def execute(self, requests):
        responses = []
        for request in requests:
            self.seen += 1
            if pb_utils.get_input_tensor_by_name(request, "X").as_numpy()[0, 0] < 0:
                responses.append(pb_utils.InferenceResponse(error=pb_utils.TritonError("negative")))
                continue
            rows = len(pb_utils.get_input_tensor_by_name(request, "X").as_numpy())
            out = np.full((rows, 1), self.seen, np.int32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("N", out)]))
        return responses
"""

SEEN = """
backend: "python"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "SEEN" data_type: TYPE_STRING dims: [ 1 ] } ]
model_warmup [
  { name: "zeros" count: 2 inputs { key: "X" value { data_type: TYPE_FP32 dims: 2 zero_data: true } } },
  { name: "file" batch_size: 3
    inputs { key: "X" value { data_type: TYPE_FP32 dims: 2 input_data_file: "pair" } } },
  { name: "random" inputs { key: "X" value { data_type: TYPE_FP32 dims: 2 random_data: true } } } ]
"""

SEEN_MODEL = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.seen = []

    def execute(self, requests):
        rows = [pb_utils.get_input_tensor_by_name(r, "X").as_numpy()[0].tolist() for r in requests]
        if any(row[0] == 13 for row in rows):
            raise ValueError("13 is not a number")
        self.seen.append(rows)
        out = np.array([[json.dumps(self.seen).encode()]], dtype=np.object_)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("SEEN", out)]) for _ in requests]
"""

SLEEPY = """
backend: "python"
max_batch_size: 1
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "SPAN" data_type: TYPE_FP64 dims: [ 2 ] } ]
instance_group [ { count: 1 rate_limiter { resources [ { name: "slot" count: 1 global: true } ] } } ]
"""

SLEEPY_MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        start = time.monotonic()
        time.sleep(0.2)
        span = np.array([[start, time.monotonic()]])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("SPAN", span)]) for _ in requests]
"""


@pytest.fixture(scope="module")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("sharing")
    write_model(repository, "kept", COUNTING % "response_cache { enable: true }", COUNTING_MODEL)
    write_model(repository, "fresh", COUNTING % "", COUNTING_MODEL)
    groups = "instance_group [ { count: 1 }, { count: 1 passive: true } ]"
    write_model(repository, "passive", COUNTING % groups, COUNTING_MODEL)
    write_warm(repository, b"\x00")
    for name in ("first", "second"):
        write_model(repository, name, SLEEPY, SLEEPY_MODEL)
    return start_server(
        repository,
        "--cache-config=local,size=1000000",
        "--rate-limit=execution_count",
        "--rate-limit-resource=slot:1:global",
    )


def write_warm(repository: Path, tail: bytes, first: float = 1.5) -> None:
    write_model(repository, "warm", SEEN, SEEN_MODEL)
    (repository / "warm" / "warmup").mkdir()
    (repository / "warm" / "warmup" / "pair").write_bytes(struct.pack("<2f", first, -2.5) + tail)


def ask(server: ServerProcess, model: str, *values: float, **more: object) -> tuple[int, Any]:
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 2], "data": values}
    return server.json("POST", f"/v2/models/{model}/infer", {"inputs": [tensor], **more})


def number(server: ServerProcess, model: str, *values: float, **more: object) -> int:
    status, body = ask(server, model, *values, **more)
    assert status == 200, body
    return int(body["outputs"][0]["data"][0])


def test_the_same_question_gets_the_answer_that_was_kept(server: ServerProcess) -> None:
    assert number(server, "kept", 1, 2) == 1
    assert number(server, "kept", 1, 2, id="another") == 1
    assert number(server, "kept", 2, 1) == 2
    assert number(server, "kept", 1, 2, parameters={"p": 1}) == 3
    assert ask(server, "kept", -1, 0)[0] == 500
    assert ask(server, "kept", -1, 0)[0] == 500  # a failure is not kept
    assert number(server, "kept", 3, 3) == 6
    assert number(server, "fresh", 1, 2) == 1
    assert number(server, "fresh", 1, 2) == 2
    _, statistics = server.json("GET", "/v2/models/kept/stats")
    model: Any = statistics["model_stats"][0]  # type: ignore[index,call-overload]
    counted = {name: tally["count"] for name, tally in model["inference_stats"].items()}
    assert (counted["cache_hit"], counted["cache_miss"]) == (1, 6)
    assert (counted["success"], counted["compute_infer"]) == (5, 4)
    assert model["inference_count"] == 4
    with urllib.request.urlopen(f"http://{server.metrics}/metrics") as scraped:
        text = scraped.read()
    assert b'nv_cache_num_hits_per_model{model="kept",version="1"} 1' in text
    assert b'nv_cache_num_misses_per_model{model="kept",version="1"} 6' in text


def test_in_process_too(tmp_path: Path) -> None:
    import numpy as np

    write_model(tmp_path, "kept", COUNTING % "response_cache { enable: true }", COUNTING_MODEL)
    with naiad.Server(tmp_path, cache_bytes=1 << 20) as local:
        model = local.model("kept")
        inputs = {"X": np.ones((2, 2), np.float32)}
        assert [model.infer(inputs)["N"].tolist() for _ in range(2)] == [[[1], [1]]] * 2


def test_samples_run_before_the_first_request(server: ServerProcess) -> None:
    status, body = ask(server, "warm", 7, 8)
    assert status == 200, body
    zeros, again, file, random, own = json.loads(body["outputs"][0]["data"][0])
    assert zeros == again == [[0, 0]]
    assert file == [[1.5, -2.5]] * 3
    assert all(0 <= value < 1 for value in random[0])
    assert own == [[7, 8]]


def test_a_sample_that_fails_fails_the_model(tmp_path: Path) -> None:
    write_warm(tmp_path, b"", first=13)
    with pytest.raises(
        InvalidArgument, match="failed to run warmup sample 'file' of model 'warm': .*13 is not"
    ):
        naiad.Server(tmp_path)


def test_instances_that_need_the_same_take_turns(server: ServerProcess) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, server, name, 0, 0) for name in ("first", "second", "first", "second")]
        spans = sorted(tuple(each.result()[1]["outputs"][0]["data"]) for each in asked)
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))


def test_a_passive_instance_gets_nothing(server: ServerProcess) -> None:
    assert [number(server, "passive", 0, 0) for _ in range(4)] == [1, 2, 3, 4]
