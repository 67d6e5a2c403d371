"""Triton's clients against three replicas on several nodes: nothing of theirs knows that."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from ..integration.conftest import IDENTITY, STRINGS, until, write_model
from .conftest import PATIENCE_S, Deployments

# Says in which process it runs.
WHERE = """
backend: "python"
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "PID" data_type: TYPE_INT32 dims: [ 1 ] } ]
"""
WHERE_MODEL = """
import os

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        pid = np.array([os.getpid()], np.int32)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("PID", pid)]) for _ in requests]
"""
COUNTS = """
backend: "python"
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""
COUNTS_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for k in range(int(pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()[0])):
                output = pb_utils.Tensor("OUTPUT0", np.array([k], np.int32))
                sender.send(pb_utils.InferenceResponse([output]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


@pytest.fixture(scope="module")
def served(deployments: Deployments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployments]:
    repository = tmp_path_factory.mktemp("models")
    write_model(repository, "identity", IDENTITY)
    write_model(repository, "strings", STRINGS)
    write_model(repository, "where", WHERE, WHERE_MODEL)
    write_model(repository, "counts", COUNTS, COUNTS_MODEL)
    with deployments.serving(repository, "--replicas=3", "--cpus-per-replica=2"):
        yield deployments


@pytest.fixture(params=[triton_http, triton_grpc], ids=["http", "grpc"])
def client(served: Deployments, request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    kind = request.param
    made = kind.InferenceServerClient(served.http if kind is triton_http else served.grpc)
    yield made, kind
    made.close()


def tensor(kind: Any, values: np.ndarray[Any, Any], datatype: str) -> Any:
    made = kind.InferInput("INPUT0", list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def test_replicas_are_on_several_nodes(served: Deployments) -> None:
    replicas = served.replicas()
    assert len(replicas) == 3
    # Each needs 2 of the 3 CPUs of a node.
    assert len({replica["node_id"] for replica in replicas}) == 3
    done = served.run("status", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["applications"]["naiad"]["status"] == "RUNNING"
    assert "naiad: RUNNING, 3 of 3 replicas" in served.run("status").stdout


def test_health_metadata_and_configuration(client: tuple[Any, Any]) -> None:
    asked, kind = client
    assert asked.is_server_live() and asked.is_server_ready() and asked.is_model_ready("identity")
    if kind is triton_http:
        metadata, config = asked.get_model_metadata("identity"), asked.get_model_config("identity")
        assert asked.get_server_metadata()["name"] == "triton"
    else:
        metadata = asked.get_model_metadata("identity", as_json=True)
        config = asked.get_model_config("identity", as_json=True)["config"]
        assert asked.get_server_metadata().name == "triton"
    assert [each["name"] for each in metadata["inputs"]] == ["INPUT0"]
    assert config["max_batch_size"] == 8
    assert not asked.is_model_ready("nobody")


@pytest.mark.parametrize("columns", [4, 300_000])
def test_tensors_come_back_as_they_went(client: tuple[Any, Any], columns: int) -> None:
    asked, kind = client
    values = np.random.default_rng(1).random((2, columns), np.float32)
    answer = asked.infer("identity", [tensor(kind, values, "FP32")], request_id="7")
    np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), values)
    said = answer.get_response()
    assert (said["id"] if kind is triton_http else said.id) == "7"
    words = np.array([b"one", "größe".encode(), b""], np.object_)
    answer = asked.infer("strings", [tensor(kind, words, "BYTES")])
    assert list(answer.as_numpy("OUTPUT0")) == list(words)


def test_failures_keep_their_status_and_words(client: tuple[Any, Any]) -> None:
    asked, kind = client
    given = [tensor(kind, np.zeros((1, 4), np.float32), "FP32")]
    with pytest.raises(Exception, match="unknown model: 'nobody' is not found") as unknown:
        asked.infer("nobody", given)
    assert unknown.value.status() == ("404" if kind is triton_http else "StatusCode.NOT_FOUND")
    with pytest.raises(Exception, match="INPUT0") as wrong:
        asked.infer("identity", [tensor(kind, np.zeros((1, 4), np.int32), "INT32")])
    assert wrong.value.status() == ("400" if kind is triton_http else "StatusCode.INVALID_ARGUMENT")


def test_what_would_change_one_replica_is_refused(client: tuple[Any, Any]) -> None:
    asked, kind = client
    for change in (
        lambda: asked.unload_model("identity"),
        lambda: asked.register_system_shared_memory("r", "/r", 8),
        lambda: asked.update_log_settings({"log_verbose_level": 1}),
    ):
        with pytest.raises(Exception, match="one replica|one machine") as refused:
            change()
        assert refused.value.status() == ("501" if kind is triton_http else "StatusCode.UNIMPLEMENTED")
    assert asked.is_model_ready("identity")
    assert asked.get_log_settings()


def test_streams_of_responses(served: Deployments) -> None:
    with triton_grpc.InferenceServerClient(served.grpc) as asked:
        answers: list[Any] = []
        complete = threading.Event()

        def take(result: Any, error: Any) -> None:
            answers.append(error or result.as_numpy("OUTPUT0")[0])
            if error or len(answers) == 5:
                complete.set()

        asked.start_stream(take)
        asked.async_stream_infer("counts", [tensor(triton_grpc, np.array([5], np.int32), "INT32")])
        assert complete.wait(60)
        asked.stop_stream()
    assert answers == [0, 1, 2, 3, 4]


def test_streams_over_http(served: Deployments) -> None:
    connection = http.client.HTTPConnection(served.http, timeout=60)
    connection.request("POST", "/v2/models/counts/generate_stream", json.dumps({"INPUT0": 3}))
    response = connection.getresponse()
    assert response.getheader("Content-Type", "").startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in response.read().split(b"\n") if line.startswith(b"data: ")]
    connection.close()
    assert [event["OUTPUT0"] for event in events] == [0, 1, 2]


def pids(served: Deployments) -> set[int]:
    """Of the models' processes that answer many requests at once."""

    def ask(_: int) -> int:
        with triton_http.InferenceServerClient(served.http) as asked:
            given = [tensor(triton_http, np.zeros(1, np.int32), "INT32")]
            return int(asked.infer("where", given).as_numpy("PID")[0])

    with ThreadPoolExecutor(8) as threads:
        return set(threads.map(ask, range(48)))


def test_all_replicas_work_and_a_dead_one_is_replaced(served: Deployments) -> None:
    before = pids(served)
    assert len(before) == 3
    names = {one["name"] for one in served.replicas()}
    # The worker's parent is the replica.
    replica = psutil.Process(psutil.Process(next(iter(before))).ppid())
    replica.kill()

    def replaced() -> bool:
        now = {one["name"] for one in served.replicas()}
        return len(now) == 3 and now != names

    # Serve looks every 10 s, or learns of it when a request fails.
    until(replaced, "no other one came", patience_s=PATIENCE_S)
    after = pids(served)
    assert len(after) == 3 and len(after & before) == 2
