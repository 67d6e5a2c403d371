"""Models that come and go while the server runs, and clients that go while their requests wait."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from naiad import protos

from .conftest import GATED, GATED_MODEL, IDENTITY, ServerProcess, Start, infer_request, write_model
from .test_metrics import sample, scrape
from .test_shutdown import http_infer, wait_until_taken

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture
def explicit(start_server: Start, tmp_path: Path) -> ServerProcess:
    write_model(tmp_path, "first", IDENTITY)
    write_model(tmp_path, "second", IDENTITY)
    return start_server(tmp_path, "--model-control-mode=explicit", "--load-model=first")


def states(server: ServerProcess) -> dict[str, str | None]:
    status, rows = server.json("POST", "/v2/repository/index")
    assert status == 200 and isinstance(rows, list)
    return {row["name"]: row.get("state") for row in rows}


def test_load_and_unload_over_http(explicit: ServerProcess) -> None:
    assert states(explicit) == {"first": "READY", "second": None}
    assert explicit.call("GET", "/v2/health/ready")[0] == 200
    assert explicit.call("POST", "/v2/models/second/infer", json.dumps(infer_request(1.0)))[0] == 404
    assert explicit.call("POST", "/v2/repository/models/second/load")[::2] == (200, b"")
    assert explicit.json("POST", "/v2/models/second/infer", infer_request(1.0))[0] == 200
    unloading = {"parameters": {"unload_dependents": True}}
    assert explicit.json("POST", "/v2/repository/models/first/unload", unloading) == (200, None)
    assert states(explicit) == {"first": "UNAVAILABLE", "second": "READY"}
    status, _, body = explicit.call("POST", "/v2/models/first/infer", json.dumps(infer_request(1.0)))
    assert status == 404 and b"has no available versions" in body
    assert explicit.call("GET", "/v2/models/first/ready")[0] == 400


def test_a_configuration_in_the_request(explicit: ServerProcess) -> None:
    _, config = explicit.json("GET", "/v2/models/first/config")
    assert isinstance(config, dict)
    body = {"parameters": {"config": json.dumps(config | {"max_batch_size": 16})}}
    assert explicit.json("POST", "/v2/repository/models/first/load", body)[0] == 200
    _, config = explicit.json("GET", "/v2/models/first/config")
    assert isinstance(config, dict) and config["max_batch_size"] == 16


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/repository/models/none/load", None, 400),
        ("/v2/repository/models/none/unload", None, 400),
        ("/v2/repository/models/..%2ffirst/load", None, 400),
        ("/v2/repository/r/models/first/load", None, 501),
        ("/v2/repository/models/first/load", {"parameters": {"config": "{"}}, 400),
        ("/v2/repository/models/first/load", {"parameters": {"file:1/m": "eA=="}}, 400),
        ("/v2/repository/models/first/load", {"parameters": []}, 400),
        ("/v2/repository/models/first/unload", {"parameters": {"x": 1}}, 400),
    ],
)
def test_refused_changes_change_nothing(
    explicit: ServerProcess, path: str, body: object, status: int
) -> None:
    got, answer = explicit.json("POST", path, body)
    assert got == status, answer
    assert states(explicit)["first"] == "READY"
    assert explicit.json("POST", "/v2/models/first/infer", infer_request(1.0))[0] == 200


def test_load_and_unload_over_grpc(explicit: ServerProcess) -> None:
    with grpc.insecure_channel(explicit.grpc) as channel:
        load = channel.unary_unary(SERVICE + "RepositoryModelLoad")
        unload = channel.unary_unary(SERVICE + "RepositoryModelUnload")
        loading = protos.message_class("inference.RepositoryModelLoadRequest")(model_name="second")
        load(loading.SerializeToString())
        assert states(explicit)["second"] == "READY"
        request = protos.message_class("inference.RepositoryModelUnloadRequest")(model_name="second")
        request.parameters["unload_dependents"].bool_param = True
        unload(request.SerializeToString())
        assert states(explicit)["second"] == "UNAVAILABLE"
        request.parameters["unload_dependents"].int64_param = 1
        with pytest.raises(grpc.RpcError) as caught:
            unload(request.SerializeToString())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_whose_client_is_gone_is_not_executed(start_server: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_model(tmp_path / "models", "gated", GATED.replace("@GATE@", str(gate)), GATED_MODEL)
    server = start_server(tmp_path / "models")
    held = server.connect()
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    held.request("POST", "/v2/models/gated/infer", json.dumps(request))
    wait_until_taken(server, gate, 1)

    gone = [server.connect() for _ in range(3)]
    for connection in gone:
        connection.request("POST", "/v2/models/gated/infer", json.dumps(request))
    message = protos.ModelInferRequest(model_name="gated")
    message.inputs.add(name="INPUT0", datatype="INT32", shape=[1])
    message.raw_input_contents.append(bytes(4))
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(SERVICE + "ModelInfer").future(message.SerializeToString())
        wait_until_taken(server, gate, 5)
        for connection in gone:
            connection.close()
        call.cancel()
        # Answered on the same connection after the cancellation, by the loop that has seen the others go.
        channel.unary_unary(SERVICE + "ServerLive")(b"")
    scrape(server)
    gate.touch()
    assert held.getresponse().status == 200
    assert http_infer(server, 7) == 7
    text = scrape(server)
    assert sample(text, "nv_inference_request_failure", model="gated", reason="CANCELED") == 4
    assert sample(text, "nv_inference_request_success", model="gated") == 2
    assert sample(text, "nv_inference_exec_count", model="gated") == 2
    held.close()
