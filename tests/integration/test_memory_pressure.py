"""Too little memory: requests that find none are told so, the others are right, and then all is as before."""

from __future__ import annotations

import json
import resource
import threading
from collections import Counter
from typing import Any

import numpy as np
import psutil
import pytest

from .conftest import IDENTITY, ServerProcess, Start, exchange, infer_request, until, write_model
from .test_cuts import reading
from .test_isolation import children
from .test_ledger import RESTING

MB = 1 << 20
CLIENTS = 12
EACH = 8

# Holds so many MB while it answers.
HUNGRY = """
backend: "python"
max_batch_size: 0
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
HUNGRY_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        given = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        held = bytearray(int(given[0].max()) << 20)
        assert len(held) >= 0
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", each)]) for each in given]
"""


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """With room for a few large requests at a time, not for those of all its clients."""
    repository = tmp_path_factory.mktemp("pressure")
    write_model(repository, "identity", IDENTITY)
    write_model(repository, "hungry", HUNGRY, HUNGRY_MODEL)
    return start_server(
        repository, f"--tensor-pool-byte-size={24 * MB}", f"--max-in-flight-byte-size={24 * MB}"
    )


def large_request(size_bytes: int, value: float) -> tuple[bytes, dict[str, str]]:
    """One tensor as bytes, every element the same."""
    content = np.full(size_bytes // 4, value, np.float32).tobytes()
    tensor = {
        "name": "INPUT0",
        "shape": [1, size_bytes // 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + content, {"Inference-Header-Content-Length": str(len(head))}


def test_large_requests_of_many_clients(served: ServerProcess) -> None:
    seen: Counter[Any] = Counter()
    process = psutil.Process(served.process.pid)
    files = process.num_fds()

    def ask(client: int) -> None:
        connection = served.connect()
        for number in range(EACH):
            body, fields = large_request(5 * MB, client * EACH + number)
            content = body[int(fields["Inference-Header-Content-Length"]) :]
            status, headers, answer = exchange(
                connection, "POST", "/v2/models/identity/infer", body, headers=fields
            )
            if status == 200:
                seen["right" if answer.endswith(content) else "wrong"] += 1
            else:
                seen[status, json.loads(answer)["error"].partition(";")[0]] += 1
            if headers.get("connection") == "close":
                connection.close()
                connection = served.connect()
        connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    # Small ones are answered beside them, or told the same.
    small: Counter[int] = Counter()
    while any(thread.is_alive() for thread in threads):
        small[served.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0]] += 1
        assert served.call("GET", "/v2/health/live")[0] == 200
    for thread in threads:
        thread.join()
    print(seen, small)
    assert sum(seen.values()) == CLIENTS * EACH
    assert seen["right"] > 0 and seen["wrong"] == 0
    refused = {kind[0] for kind in seen if isinstance(kind, tuple)}
    assert refused == {503}, seen
    assert set(small) <= {200, 503}
    until(lambda: not any(reading(served, name) for name in RESTING), "all is let go of")
    until(lambda: process.num_fds() <= files + 2, "its descriptors are closed")
    assert served.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200


def ask_hungry(server: ServerProcess, size_mb: int) -> tuple[int, Any]:
    tensor = {"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [size_mb]}
    return server.json("POST", "/v2/models/hungry/infer", {"inputs": [tensor]})


def test_a_model_that_finds_no_memory_fails_its_batch_alone(served: ServerProcess) -> None:
    assert ask_hungry(served, 1)[0] == 200
    (worker,) = children(served.process.pid)
    room = psutil.Process(worker).memory_info().vms + 256 * MB
    _, hard = resource.prlimit(worker, resource.RLIMIT_AS)
    resource.prlimit(worker, resource.RLIMIT_AS, (room, hard))
    for _ in range(3):
        status, body = ask_hungry(served, 4096)
        assert status == 500 and "MemoryError" in body["error"], body
        assert ask_hungry(served, 1)[0] == 200
    assert children(served.process.pid) == [worker]
    assert served.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
