"""Requests that belong together in sequences, over HTTP and gRPC."""

from __future__ import annotations

import concurrent.futures
import json
import queue
import struct
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from .conftest import ServerProcess, Start, write_model

CONTROLS = """
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } ] },
    { name: "READY" control [ { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] } ] },
    { name: "ID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING } ] } ]
"""

# What the model was told of the request, and a sum that the scheduler keeps between requests.
SUM = (
    """
backend: "python"
max_batch_size: 2
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [
  { name: "Y" data_type: TYPE_INT32 dims: [ 1 ] },
  { name: "TOLD" data_type: TYPE_STRING dims: [ 1 ] } ]
sequence_batching {
  %s
  max_sequence_idle_microseconds: 400000
  state [ { input_name: "SUM_IN" output_name: "SUM_OUT" data_type: TYPE_INT32 dims: [ 1 ] %s } ]
"""
    + CONTROLS
    + "}"
)

SUM_MODEL = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request, len(requests)) for request in requests]

    def answer(self, request, count):
        values = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        total = values["SUM_IN"] + values["X"]
        told = {
            "START": int(values["START"][0, 0]),
            "END": float(values["END"][0, 0]),
            "READY": bool(values["READY"][0, 0]),
            "ID": values["ID"][0, 0].decode(),
            "count": count,
        }
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("Y", total),
            pb_utils.Tensor("SUM_OUT", total),
            pb_utils.Tensor("TOLD", np.array([[json.dumps(told).encode()]], dtype=np.object_)),
        ])
"""

COUNT_DOWN = """
backend: "python"
max_batch_size: 4
input [ { name: "FROM" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
model_transaction_policy { decoupled: %s }
sequence_batching {
  iterative_sequence: true
  state [ { input_name: "LEFT" output_name: "LEFT_OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] } ]
  oldest { max_candidate_sequences: 4 }
}
"""

STREAMED_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            values = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            left = values["FROM"] if values["START"][0, 0] else values["LEFT"]
            sender = request.get_response_sender()
            sender.send(pb_utils.InferenceResponse([
                pb_utils.Tensor("OUT", left), pb_utils.Tensor("LEFT_OUT", left - 1)]))
            if left[0, 0] > 1:
                request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
            else:
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

ONCE_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    rounds = 0

    def execute(self, requests):
        self.rounds += 1
        responses = []
        for request in requests:
            if self.rounds % 3 != 0:
                request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
                responses.append(None)
            else:
                out = np.array([[self.rounds]], np.int32)
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", out)]))
        return responses
"""


# A state that gets longer with each request.
GROWING = """
backend: "python"
max_batch_size: 2
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "ALL" data_type: TYPE_INT32 dims: [ -1 ] } ]
sequence_batching {
  oldest { max_candidate_sequences: 2 preserve_ordering: true }
  state [ {
    input_name: "PAST" output_name: "PRESENT" data_type: TYPE_INT32 dims: [ -1 ]
    use_same_buffer_for_input_output: true use_growable_memory: true
    initial_state: { name: "zero" data_type: TYPE_INT32 dims: [ 1 ] zero_data: true } } ]
}
"""

GROWING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        values = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        present = np.concatenate([values["PAST"], values["X"]], axis=1)
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("ALL", present), pb_utils.Tensor("PRESENT", present)])
"""


@pytest.fixture(scope="module")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("sequences")
    write_model(repository, "direct", SUM % ("direct { }", ""), SUM_MODEL)
    write_model(repository, "oldest", SUM % ("oldest { max_candidate_sequences: 2 }", ""), SUM_MODEL)
    initial = 'initial_state: { name: "ten" data_type: TYPE_INT32 dims: [ 1 ] data_file: "ten" }'
    write_model(repository, "from_file", SUM % ("", initial), SUM_MODEL)
    (repository / "from_file" / "initial_state").mkdir()
    (repository / "from_file" / "initial_state" / "ten").write_bytes(struct.pack("<i", 10))
    write_model(repository, "streamed", COUNT_DOWN % "true", STREAMED_MODEL)
    write_model(repository, "growing", GROWING, GROWING_MODEL)
    write_model(repository, "once", COUNT_DOWN % "false", ONCE_MODEL)
    return start_server(repository)


def ask(
    server: ServerProcess,
    model: str,
    sequence: int | str,
    value: int,
    *,
    start: bool = False,
    end: bool = False,
) -> tuple[int, Any]:
    parameters = {"sequence_id": sequence, "sequence_start": start, "sequence_end": end}
    inputs = [{"name": "X", "datatype": "INT32", "shape": [1, 1], "data": [value]}]
    return server.json("POST", f"/v2/models/{model}/infer", {"inputs": inputs, "parameters": parameters})


def answer(
    server: ServerProcess,
    model: str,
    sequence: int | str,
    value: int,
    *,
    start: bool = False,
    end: bool = False,
) -> tuple[int, dict[str, Any]]:
    status, body = ask(server, model, sequence, value, start=start, end=end)
    assert status == 200, body
    outputs = {output["name"]: output["data"][0] for output in body["outputs"]}
    assert outputs.keys() == {"Y", "TOLD"}  # the state is the scheduler's
    return outputs["Y"], json.loads(outputs["TOLD"])


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_a_sequence_is_told_its_controls_and_keeps_its_state(server: ServerProcess, model: str) -> None:
    told = {"START": 1, "END": 0.0, "READY": True, "ID": "first", "count": 1}
    assert answer(server, model, "first", 1, start=True) == (1, told)
    assert answer(server, model, "first", 2)[0] == 3
    assert answer(server, model, "first", 3, end=True) == (6, {**told, "START": 0, "END": 1.0})
    assert answer(server, model, 17, 5, start=True, end=True)[1]["ID"] == "17"
    status, body = ask(server, model, "first", 4)
    assert (status, body) == (
        400,
        {
            "error": f"inference request for sequence first to model '{model}' must specify the START flag "
            "on the first request of the sequence"
        },
    )


def test_the_initial_state_comes_from_a_file(server: ServerProcess) -> None:
    assert answer(server, "from_file", 1, 5, start=True)[0] == 15
    assert answer(server, "from_file", 1, 1, start=True, end=True)[0] == 11


def test_a_state_that_grows(server: ServerProcess) -> None:
    def one(k: int) -> list[list[int]]:
        asked = [ask(server, "growing", k, k * i, start=i == 1, end=i == 20) for i in range(1, 21)]
        assert [status for status, _ in asked] == [200] * 20, asked
        return [body["outputs"][0]["data"] for _, body in asked]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for k, answers in zip(range(1, 5), pool.map(one, range(1, 5)), strict=True):
            assert answers == [[0, *(k * j for j in range(1, i + 1))] for i in range(1, 21)]


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_sequences_beyond_the_slots_wait_their_turn(server: ServerProcess, model: str) -> None:
    def one(k: int) -> list[int]:
        steps = range(1, 6)
        return [
            answer(server, model, f"{model}{k}", k * i, start=i == 1, end=i == steps[-1])[0] for i in steps
        ]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(1, 9))) == [[k, 3 * k, 6 * k, 10 * k, 15 * k] for k in range(1, 9)]


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_a_client_that_is_gone_leaves_its_slot(server: ServerProcess, model: str) -> None:
    for k in range(4):  # twice as many as there are slots: idle ones end after 0.4 s
        assert answer(server, model, f"gone{k}", k, start=True)[0] == k
    status, body = ask(server, model, "gone0", 1)
    assert status == 400, body


def test_what_a_request_of_a_sequence_must_have(server: ServerProcess) -> None:
    status, body = ask(server, "direct", 0, 1, start=True)
    assert (status, body) == (
        400,
        {"error": "inference request to model 'direct' must specify a non-zero or non-empty correlation ID"},
    )
    inputs = [
        {"name": name, "datatype": "INT32", "shape": [1, 1], "data": [1]} for name in ("X", "START", "SUM_IN")
    ]
    parameters = {"sequence_id": 1, "sequence_start": True}
    status, given = server.json(
        "POST", "/v2/models/direct/infer", {"inputs": inputs, "parameters": parameters}
    )
    assert status == 400
    assert "expected 1 inputs but got 3" in str(given)
    status, metadata = server.json("GET", "/v2/models/direct")
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["X"]  # type: ignore[index,call-overload]


def test_an_iterative_model_sees_its_request_until_it_is_done(server: ServerProcess) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error or result))
        counts = {"a": 3, "b": 1, "c": 5}
        for request_id, count in counts.items():
            tensor = triton.InferInput("FROM", [1, 1], "INT32")
            tensor.set_data_from_numpy(np.array([[count]], np.int32))
            client.async_stream_infer(
                "streamed", [tensor], request_id=request_id, enable_empty_final_response=True
            )
        got: dict[str, list[int]] = {request_id: [] for request_id in counts}
        open_ids = set(counts)
        while open_ids:
            result = answers.get(timeout=20)
            response = result.get_response()
            if response.outputs:
                assert [output.name for output in response.outputs] == ["OUT"]
                got[response.id].append(int(result.as_numpy("OUT")[0, 0]))
            if response.parameters["triton_final_response"].bool_param:
                open_ids.remove(response.id)
    assert got == {request_id: list(range(count, 0, -1)) for request_id, count in counts.items()}


def test_a_request_can_be_rescheduled_without_senders(server: ServerProcess) -> None:
    inputs = [{"name": "FROM", "datatype": "INT32", "shape": [1, 1], "data": [1]}]
    for round_number in (3, 6):
        status, body = server.json("POST", "/v2/models/once/infer", {"inputs": inputs})
        assert status == 200, body
        assert body["outputs"][0]["data"] == [round_number]  # type: ignore[index,call-overload]
    _, statistics = server.json("GET", "/v2/models/once/stats")
    model = statistics["model_stats"][0]  # type: ignore[index,call-overload]
    assert model["inference_stats"]["success"]["count"] == 2
