"""Where instances run: the processors of their host policies, in threads and in worker processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import ServerProcess, Start, write_model

CORES = sorted(os.sched_getaffinity(0))

WHERE = """
backend: "python"
max_batch_size: 0
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "CORES" data_type: TYPE_INT32 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU %s } ]
%s
"""

WHERE_MODEL = """
import os
import threading
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer() for _ in requests]

    def answer(self):
        cores = []
        thread = threading.Thread(target=lambda: cores.extend(sorted(os.sched_getaffinity(0))))
        thread.start()
        thread.join()
        assert sorted(os.sched_getaffinity(0)) == cores
        return pb_utils.InferenceResponse([pb_utils.Tensor("CORES", np.array(cores, np.int32))])
"""

ISOLATION = 'parameters { key: "isolation" value { string_value: "%s" } }'


@pytest.fixture(scope="module")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("policies")
    for form in ("process", "thread"):
        write_model(repository, f"plain_{form}", WHERE % ("", ISOLATION % form), WHERE_MODEL)
        near = 'host_policy: "near"'
        write_model(repository, f"near_{form}", WHERE % (near, ISOLATION % form), WHERE_MODEL)
    return start_server(repository, f"--host-policy=near,cpu-cores={CORES[-1]}")


@pytest.mark.parametrize("form", ["process", "thread"])
def test_an_instance_runs_where_its_policy_says(server: ServerProcess, form: str) -> None:
    body = {"inputs": [{"name": "X", "datatype": "INT32", "shape": [1], "data": [1]}]}
    for model, cores in ((f"near_{form}", CORES[-1:]), (f"plain_{form}", CORES)):
        status, answer = server.json("POST", f"/v2/models/{model}/infer", body)
        assert status == 200, answer
        assert answer["outputs"][0]["data"] == cores  # type: ignore[index,call-overload]


def test_cores_that_there_are_not_fail_the_load(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "where", WHERE % ("", ""), WHERE_MODEL)
    flags = ("--host-policy=cpu,cpu-cores=1000", "--exit-on-error=false")
    server = start_server(tmp_path, *flags)
    assert "host policy: the processors can not be used" in server.log
    status, _ = server.json("GET", "/v2/models/where/ready")
    assert status == 400
