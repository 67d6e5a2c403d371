"""How a server ends: no request that was taken is lost."""

from __future__ import annotations

import json
import re
import signal
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from naiad import protos

from .conftest import (
    GATED,
    GATED_MODEL,
    IDENTITY,
    ServerProcess,
    Start,
    infer_request,
    until,
    write_model,
)
from .test_metrics import sample, scrape

COUNT = 6


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def gated_repository(tmp_path: Path, gate: Path) -> Path:
    """A model that answers when a file is there."""
    path = tmp_path / "models"
    write_model(path, "gated", GATED.replace("@GATE@", str(gate)), GATED_MODEL)
    write_model(path, "identity", IDENTITY)
    return path


STEP = IDENTITY.replace('metric_tags { key: "team" value: "a\\"b" }', "")

CALLER = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [ {
  model_name: "@NAME@" model_version: -1
  input_map { key: "INPUT0" value: "INPUT0" }
  output_map { key: "OUTPUT0" value: "OUTPUT0" }
} ] }
"""


def gated_request(value: int) -> Any:
    request = protos.ModelInferRequest(model_name="gated")
    request.inputs.add(name="INPUT0", datatype="INT32", shape=[1])
    request.raw_input_contents.append(struct.pack("<i", value))
    return request


def gated_value(answer: bytes) -> int:
    output = protos.ModelInferResponse.FromString(answer).raw_output_contents[0]
    return int(struct.unpack("<i", output)[0])


def http_infer(server: ServerProcess, value: int) -> int:
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [value]}]}
    status, _, body = server.call("POST", "/v2/models/gated/infer", json.dumps(request))
    assert status == 200, body
    return int(json.loads(body)["outputs"][0]["data"][0])


def grpc_infer(server: ServerProcess, value: int) -> int:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return gated_value(stub(gated_request(value).SerializeToString(), timeout=60))


def wait_until_taken(server: ServerProcess, gate: Path, count: int) -> None:
    """Until one request is in the model and the others wait in its queue."""
    entered = Path(f"{gate}.entered")
    while (
        not entered.exists()
        or sample(scrape(server), "nv_inference_pending_request_count", model="gated") < count - 1
    ):
        assert server.process.poll() is None, server.log


def wait_until_stopping(server: ServerProcess) -> None:
    while "Stopping:" not in server.log:
        assert server.process.poll() is None, server.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_what_is_in_flight(
    start_server: Start, gated_repository: Path, gate: Path, number: signal.Signals
) -> None:
    server = start_server(gated_repository)
    idle = server.connect()
    with ThreadPoolExecutor(2 * COUNT) as pool:
        over_http = [pool.submit(http_infer, server, i) for i in range(COUNT)]
        over_grpc = [pool.submit(grpc_infer, server, i) for i in range(COUNT)]
        wait_until_taken(server, gate, 2 * COUNT)
        server.signal(number)
        wait_until_stopping(server)
        # Alive and answering, but taking nothing new.
        assert server.call("GET", "/v2/health/live")[0] == 200
        assert server.call("GET", "/v2/health/ready")[0] == 503
        status, _, body = server.call("POST", "/v2/models/identity/infer", json.dumps(infer_request(1.0)))
        assert status == 503 and b"Server is stopping" in body
        assert scrape(server)
        gate.touch()
        assert [future.result() for future in over_http] == list(range(COUNT))
        assert [future.result() for future in over_grpc] == list(range(COUNT))
    idle.close()
    assert server.wait() == 0, server.log
    assert "Traceback" not in server.log


def test_two_hundred_requests_in_flight_are_all_answered(
    start_server: Start, gated_repository: Path, gate: Path
) -> None:
    server = start_server(gated_repository, "--lame-duck-secs=1")
    with ThreadPoolExecutor(100) as pool, grpc.insecure_channel(server.grpc) as channel:
        over_http = [pool.submit(http_infer, server, i) for i in range(100)]
        stub = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        over_grpc = [stub.future(gated_request(i).SerializeToString(), timeout=60) for i in range(90)]
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        streamed = stream(iter([gated_request(i).SerializeToString() for i in range(10)]), timeout=60)
        wait_until_taken(server, gate, 200)
        server.signal()
        wait_until_stopping(server)
        gate.touch()
        assert [future.result() for future in over_http] == list(range(100))
        assert [gated_value(future.result()) for future in over_grpc] == list(range(90))
        answers = [protos.message_class("inference.ModelStreamInferResponse").FromString(m) for m in streamed]
    assert sorted(struct.unpack("<i", a.infer_response.raw_output_contents[0])[0] for a in answers) == list(
        range(10)
    )
    assert server.wait() == 0, server.log
    assert "Traceback" not in server.log


def test_a_lame_duck_serves_and_is_not_ready(start_server: Start, repository: Path) -> None:
    server = start_server(repository, "--lame-duck-secs=1")
    server.signal()
    until(lambda: "all is served for 1 s" in server.log)
    assert server.call("GET", "/v2/health/ready")[0] == 503
    assert server.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
    assert server.wait() == 0, server.log


def test_a_second_signal_ends_a_lame_duck_at_once(start_server: Start, repository: Path) -> None:
    server = start_server(repository, "--lame-duck-secs=3600")
    server.signal()
    until(lambda: "all is served for" in server.log)
    server.signal()
    assert server.wait() == 1


def test_callers_end_before_those_whom_they_call(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "a_step", STEP)
    for name, step in (("b_caller", "a_step"), ("c_caller_of_callers", "b_caller")):
        write_model(tmp_path, name, CALLER.replace("@NAME@", step))
    server = start_server(tmp_path)
    server.signal()
    assert server.wait() == 0, server.log
    ended = re.findall(r"successfully unloaded '([a-z_]+)'", server.log)
    assert ended == ["c_caller_of_callers", "b_caller", "a_step"]


def test_a_second_signal_ends_it_at_once(start_server: Start, gated_repository: Path, gate: Path) -> None:
    server = start_server(gated_repository)
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(http_infer, server, 1)
        wait_until_taken(server, gate, 1)
        server.signal()
        wait_until_stopping(server)
        server.signal()
        assert server.wait() == 1
        with pytest.raises((ConnectionError, OSError)):
            lost.result()


def test_what_does_not_finish_is_told_so(start_server: Start, gated_repository: Path, gate: Path) -> None:
    server = start_server(gated_repository, "--exit-timeout-secs=0")
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    with ThreadPoolExecutor(2) as pool:
        over_http = pool.submit(server.call, "POST", "/v2/models/gated/infer", json.dumps(request))
        over_grpc = pool.submit(grpc_infer, server, 1)
        wait_until_taken(server, gate, 2)
        server.signal()
        status, _, body = over_http.result()
        assert status == 503 and b"not finished in time" in body
        with pytest.raises(grpc.RpcError) as caught:
            over_grpc.result()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    # The model never returned; the process ends all the same.
    assert server.wait() == 1, server.log


def test_an_idle_server_exits_with_zero(start_server: Start, repository: Path) -> None:
    server = start_server(repository)
    server.signal()
    assert server.wait() == 0, server.log


def test_a_port_that_is_taken_is_named(start_server: Start, repository: Path, server: ServerProcess) -> None:
    for flag, key in (("--http-port", "HTTPService"), ("--grpc-port", "GRPCInferenceService")):
        second = start_server(repository, f"{flag}={server.ports[key]}", expect_ready=False)
        assert second.wait() == 1
        assert str(server.ports[key]) in second.log and "Traceback" not in second.log


def test_a_broken_model_ends_the_start_unless_told_otherwise(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "identity", IDENTITY)
    write_model(tmp_path, "broken", 'backend: "no_such_backend"')
    refused = start_server(tmp_path, expect_ready=False)
    assert refused.wait() == 1
    assert "broken" in refused.log and "| identity" in refused.log
    server = start_server(tmp_path, "--exit-on-error=false")
    assert server.call("GET", "/v2/health/ready")[0] == 400
    assert server.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
