"""Header fields and metadata that models see as parameters."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from .conftest import ServerProcess, Start, write_model

TELLING = """
backend: "python"
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "TOLD" data_type: TYPE_STRING dims: [ 1 ] } ]
"""

TELLING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        told = [np.array([request.parameters().encode()], dtype=np.object_) for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("TOLD", each)]) for each in told]
"""


@pytest.fixture(scope="module")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("forward")
    write_model(repository, "telling", TELLING, TELLING_MODEL)
    return start_server(
        repository, "--http-header-forward-pattern=my-.*", "--grpc-header-forward-pattern=(?i)MY-.*"
    )


def test_over_http(server: ServerProcess) -> None:
    inputs = [{"name": "X", "datatype": "INT32", "shape": [1], "data": [1]}]
    body = json.dumps({"inputs": inputs, "parameters": {"own": 1}})
    headers = {"My-Trace": "t1", "x-my-other": "two", "Theirs": "3"}
    status, _, answer = server.call("POST", "/v2/models/telling/infer", body, headers)
    assert status == 200, answer
    told: Any = json.loads(answer)["outputs"][0]["data"][0]
    assert json.loads(told) == {"own": 1, "My-Trace": "t1", "x-my-other": "two"}


def test_over_grpc(server: ServerProcess) -> None:
    tensor = triton.InferInput("X", [1], "INT32")
    tensor.set_data_from_numpy(np.array([1], np.int32))
    with triton.InferenceServerClient(server.grpc) as client:
        answer = client.infer("telling", [tensor], headers={"my-trace": "t2", "theirs": "3"})
    assert json.loads(answer.as_numpy("TOLD")[0]) == {"my-trace": "t2"}
