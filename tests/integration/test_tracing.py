"""The trace extension on a live server: what is traced, and the files that come of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc

from .conftest import ServerProcess, Start, infer_request, write_model

PLUS_ONE = """
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""

PLUS_ONE_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        outputs = [pb_utils.Tensor("Y", request.inputs()[0].as_numpy() + 1) for request in requests]
        return [pb_utils.InferenceResponse([output]) for output in outputs]
"""

WORDS = """
backend: "python"
max_batch_size: 0
input [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "WORD" data_type: TYPE_STRING dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
instance_group [ { kind: KIND_CPU count: 1 } ]
"""

WORDS_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for _ in range(int(request.inputs()[0].as_numpy()[0])):
                word = pb_utils.Tensor("WORD", np.array([b"w"], dtype=object))
                sender.send(pb_utils.InferenceResponse([word]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

TWICE = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [
  { model_name: "plus" model_version: -1 input_map { key: "X" value: "IN" } output_map { key: "Y" value: "m" } },
  { model_name: "plus" model_version: -1 input_map { key: "X" value: "m" } output_map { key: "Y" value: "OUT" } }
] }
"""  # noqa: E501

CALLING_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = request.inputs()[0]
            traced = pb_utils.InferenceRequest("b", model_name="plus", inputs=[x], trace=request.trace())
            untraced = pb_utils.InferenceRequest("c", model_name="plus", inputs=[x])
            for each in (traced, untraced):
                output = pb_utils.get_output_tensor_by_name(each.exec(), "Y")
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", output.as_numpy())]))
        return responses
"""

IN_ORDER = ["REQUEST_START", "QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START",
            "COMPUTE_END", "REQUEST_END"]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced")
    write_model(path, "plus", PLUS_ONE, PLUS_ONE_MODEL)
    write_model(path, "words", WORDS, WORDS_MODEL)
    write_model(path, "twice", TWICE)
    for how in ("process", "thread"):
        isolation = f'parameters {{ key: "isolation" value {{ string_value: "{how}" }} }}'
        write_model(path, f"calls_by_{how}", PLUS_ONE + isolation, CALLING_MODEL)
    return path


@pytest.fixture
def traced(start_server: Start, models: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    server = start_server(
        models, f"--trace-config=triton,file={tmp_path / 't'}", "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1",
    )  # fmt: skip
    yield server
    if server.process.poll() is None:
        server.signal(signal.SIGKILL)
        server.wait()


def ask(server: ServerProcess, model: str = "plus", name: str = "X", **more: Any) -> int:
    request = {
        "id": "r",
        "inputs": [{"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
        **more,
    }
    return server.json("POST", f"/v2/models/{model}/infer", request)[0]


def spans(path: Path) -> dict[int, dict[str, Any]]:
    """By id: what was said of the request, its ``marks`` and its ``tensors``."""
    found: dict[int, dict[str, Any]] = {}
    for item in json.loads(path.read_text()):
        each = found.setdefault(item["id"], {"marks": {}, "tensors": []})
        for mark in item.get("timestamps", ()):
            each["marks"].setdefault(mark["name"], mark["ns"])
        if "tensor" in item:
            each["tensors"].append((item["activity"], item["tensor"]))
        each |= {key: value for key, value in item.items() if key.startswith(("model", "request", "parent"))}
    return found


def stop(server: ServerProcess) -> None:
    server.signal()
    assert server.wait() == 0, server.log


def test_over_http(traced: ServerProcess, tmp_path: Path) -> None:
    assert ask(traced) == 200
    assert ask(traced, "none") == 404 and ask(traced, name="Z") == 400
    stop(traced)
    (span,) = spans(tmp_path / "t").values()
    assert (span["model_name"], span["model_version"], span["request_id"]) == ("plus", 1, "r")
    marks = span["marks"]
    order = [marks[name] for name in ("HTTP_RECV_START", "HTTP_RECV_END", *IN_ORDER)]
    assert order == sorted(order)
    order = [marks[name] for name in ("INFER_RESPONSE_COMPLETE", "HTTP_SEND_START", "HTTP_SEND_END")]
    assert order == sorted(order) and marks["COMPUTE_END"] <= order[0]
    assert len(marks) == 12 and not span["tensors"]


def test_steps_of_ensembles_over_grpc(traced: ServerProcess, tmp_path: Path) -> None:
    traced.json("POST", "/v2/trace/setting", {"trace_level": ["TENSORS", "TIMESTAMPS"]})
    with tritonclient.grpc.InferenceServerClient(traced.grpc) as client:
        tensor = tritonclient.grpc.InferInput("IN", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2]], np.float32))
        client.infer("twice", [tensor])
    stop(traced)
    whole, first, second = spans(tmp_path / "t").values()
    assert (whole["model_name"], first["model_name"], second["model_name"]) == ("twice", "plus", "plus")
    assert first["parent_id"] == second["parent_id"] == 1 and "parent_id" not in whole
    assert set(IN_ORDER) == set(first["marks"]) == set(second["marks"])
    assert set(whole["marks"]) == {
        "GRPC_WAITREAD_START",
        "GRPC_WAITREAD_END",
        "REQUEST_START",
        "QUEUE_START",
        "REQUEST_END",
        "INFER_RESPONSE_COMPLETE",
        "GRPC_SEND_START",
        "GRPC_SEND_END",
    }
    assert second["marks"]["REQUEST_START"] >= first["marks"]["COMPUTE_END"]
    form = {"shape": "1,2", "dtype": "FP32"}
    assert whole["tensors"] == [
        ("TENSOR_QUEUE_INPUT", {"name": "IN", "data": "1,2", **form}),
        ("TENSOR_BACKEND_OUTPUT", {"name": "OUT", "data": "3,4", **form}),
    ]
    assert second["tensors"][0] == ("TENSOR_QUEUE_INPUT", {"name": "X", "data": "2,3", **form})


@pytest.mark.parametrize("how", ["process", "thread"])
def test_calls_of_models_are_traced_where_they_say_for_whom(
    traced: ServerProcess, tmp_path: Path, how: str
) -> None:
    assert ask(traced, f"calls_by_{how}") == 200
    stop(traced)
    caller, called = spans(tmp_path / "t").values()
    assert caller["model_name"] == f"calls_by_{how}" and called["model_name"] == "plus"
    assert (called["parent_id"], called["request_id"]) == (1, "b")
    assert caller["marks"]["COMPUTE_START"] <= called["marks"]["REQUEST_START"]
    assert called["marks"]["REQUEST_END"] <= caller["marks"]["COMPUTE_END"]


def test_many_responses(traced: ServerProcess, tmp_path: Path) -> None:
    traced.json("POST", "/v2/trace/setting", {"trace_level": ["TENSORS", "TIMESTAMPS"]})
    status, _, body = traced.call("POST", "/v2/models/words/generate_stream", '{"N": [3]}')
    assert status == 200 and body.count(b'"WORD"') == 3
    stop(traced)
    items = json.loads((tmp_path / "t").read_text())
    names = [item["timestamps"][0]["name"] for item in items if "timestamps" in item]
    assert names.count("INFER_RESPONSE_COMPLETE") == 4 and names.count("COMPUTE_START") == 1
    assert names.count("REQUEST_END") == names.count("HTTP_SEND_END") == 1
    outputs = [item["tensor"]["data"] for item in items if item.get("activity") == "TENSOR_BACKEND_OUTPUT"]
    assert outputs == ['"w"'] * 3


def test_rate_count_and_frequency(traced: ServerProcess, tmp_path: Path) -> None:
    setting = {"trace_rate": "2", "log_frequency": "2", "trace_count": "3"}
    status, shown = traced.json("POST", "/v2/trace/setting", setting)
    assert status == 200 and isinstance(shown, dict) and shown["trace_count"] == "3"
    for _ in range(10):
        assert ask(traced) == 200
    assert traced.json("GET", "/v2/trace/setting")[1] == {
        "trace_level": ["TIMESTAMPS"],
        "trace_rate": "2",
        "trace_count": "0",
        "log_frequency": "2",
        "trace_file": str(tmp_path / "t"),
        "trace_mode": "triton",
    }
    stop(traced)
    assert len(spans(tmp_path / "t.0")) == 2 and len(spans(tmp_path / "t.1")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"t.0", "t.1"}


def test_of_one_model(traced: ServerProcess, tmp_path: Path) -> None:
    traced.json("POST", "/v2/trace/setting", {"trace_level": ["OFF"]})
    with tritonclient.grpc.InferenceServerClient(traced.grpc) as client:
        client.update_trace_settings("plus", {"trace_level": ["TIMESTAMPS"]})
        shown = client.get_trace_settings("plus", as_json=True)["settings"]
        assert shown["trace_level"] == {"value": ["TIMESTAMPS"]}
        assert client.get_trace_settings(as_json=True)["settings"]["trace_level"] == {"value": ["OFF"]}
        assert ask(traced, "twice", "IN") == 200  # its steps are no requests of clients
        assert ask(traced) == 200
        client.update_trace_settings("plus", {"trace_level": None})
        assert client.get_trace_settings("plus", as_json=True)["settings"]["trace_level"] == {
            "value": ["OFF"]
        }
    assert ask(traced) == 200
    stop(traced)
    assert [span["model_name"] for span in spans(tmp_path / "t").values()] == ["plus"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v2/trace/setting", {"trace_rate": 1}, 400, "expect string for 'trace_rate'"),
        ("/v2/trace/setting", {"trace_level": "OFF"}, 400, "expect array of strings for 'trace_level'"),
        ("/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}, 400, "trace file name is not given"),
        ("/v2/trace/setting", {"trace_file": "x"}, 501, "can not be updated through network protocol"),
        ("/v2/models/none/trace/setting", {}, 400, "Request for unknown model : none"),
    ],
)
def test_refusals(server: ServerProcess, path: str, body: object, status: int, words: str) -> None:
    got, answer = server.json("POST", path, body)
    assert got == status and isinstance(answer, dict) and words in answer["error"]


def test_it_is_told_that_there_are_traces(server: ServerProcess) -> None:
    _, metadata = server.json("GET", "/v2")
    assert isinstance(metadata, dict) and {"trace", "logging"} <= set(metadata["extensions"])
    status, _ = server.json("POST", "/v2/models/identity/infer", infer_request(1))
    assert status == 200


def test_where_traces_cannot_go_the_server_does_not_start(start_server: Start, models: Path) -> None:
    server = start_server(
        models, "--trace-config=triton,file=/no/such/place/t", "--trace-config=level=TIMESTAMPS",
        expect_ready=False,
    )  # fmt: skip
    assert server.wait() == 1 and "the directory of the trace file does not exist" in server.log
