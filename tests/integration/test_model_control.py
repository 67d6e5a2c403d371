"""Models come, change and go while a server runs."""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from naiad import protos

from .conftest import ServerProcess, Start, exchange, until, write_model

CONST = """
backend: "python"
max_batch_size: 0
input [ { name: "X" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: @COUNT@ } ]
parameters { key: "isolation" value { string_value: "thread" } }
"""

CONST_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        output = pb_utils.Tensor("Y", np.array([@VALUE@], np.int32))
        return [pb_utils.InferenceResponse([output]) for _ in requests]
"""

TENSOR = {"data_type": "TYPE_INT32", "dims": [1]}
CONFIG = {
    "backend": "python",
    "input": [TENSOR | {"name": "X"}],
    "output": [TENSOR | {"name": "Y"}],
    "parameters": {"isolation": {"string_value": "thread"}},
}


def config(*more: str, count: int = 1) -> str:
    return CONST.replace("@COUNT@", str(count)) + "\n".join(more)


def code(value: int) -> str:
    return CONST_MODEL.replace("@VALUE@", str(value))


def add_version(repository: Path, name: str, version: int, value: int) -> None:
    directory = repository / name / str(version)
    directory.mkdir(parents=True)
    (directory / "model.py").write_text(code(value))


REQUEST = json.dumps({"inputs": [{"name": "X", "shape": [1], "datatype": "INT32", "data": [0]}]})


def value_of(server: ServerProcess, model: str, version: str = "") -> int:
    """What the model answers, over HTTP."""
    place = f"/versions/{version}" if version else ""
    status, _, body = server.call("POST", f"/v2/models/{model}{place}/infer", REQUEST)
    assert status == 200, body
    return int(json.loads(body)["outputs"][0]["data"][0])


def load(server: ServerProcess, name: str, **parameters: str) -> tuple[int, object]:
    return server.json("POST", f"/v2/repository/models/{name}/load", {"parameters": parameters})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    write_model(path, "seven", config(), code(7))
    return path


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def explicit(start_server: Start, models: Path, temporary: Path) -> Iterator[ServerProcess]:
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    server = start_server(models, "--model-control-mode=explicit", "--load-model=seven")
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before
    yield server
    server.signal()
    assert server.wait() == 0, server.log


def test_files_come_with_a_load_over_http(explicit: ServerProcess, temporary: Path) -> None:
    given = {"config": json.dumps(CONFIG), "file:3/model.py": base64.b64encode(code(11).encode()).decode()}
    assert load(explicit, "given", **given)[0] == 200
    assert value_of(explicit, "given") == value_of(explicit, "given", "3") == 11
    assert len(list(temporary.iterdir())) == 1
    for path in ("../x", "/etc/x", "1/../../x"):
        status, body = load(explicit, "given", **given | {f"file:{path}": "eA=="})
        assert status == 400 and "inside of the model" in str(body)
    assert value_of(explicit, "given") == 11
    assert explicit.json("POST", "/v2/repository/models/given/unload")[0] == 200
    assert list(temporary.iterdir()) == []


def test_files_come_with_a_load_over_grpc(explicit: ServerProcess, temporary: Path) -> None:
    request = protos.message_class("inference.RepositoryModelLoadRequest")(model_name="seven")
    request.parameters["config"].string_param = json.dumps(CONFIG)
    request.parameters["file:1/model.py"].bytes_param = code(12).encode()
    with grpc.insecure_channel(explicit.grpc) as channel:
        stub = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad")
        stub(request.SerializeToString(), timeout=60)
    assert value_of(explicit, "seven") == 12
    assert load(explicit, "seven")[0] == 200
    assert value_of(explicit, "seven") == 7
    assert list(temporary.iterdir()) == []


def test_large_files_are_taken_up_to_the_bound(explicit: ServerProcess) -> None:
    large = base64.b64encode(bytes(8 << 20)).decode()
    given = {"config": json.dumps(CONFIG), "file:1/model.py": base64.b64encode(code(1).encode()).decode()}
    assert load(explicit, "large", **given | {"file:1/weights": large})[0] == 200
    assert value_of(explicit, "large") == 1
    assert explicit.json("POST", "/v2/repository/models/large/unload")[0] == 200


def hammer(server: ServerProcess, model: str, stop: threading.Event, seen: Counter[object]) -> None:
    """Asks again and again on one connection."""
    connection = server.connect()
    while not stop.is_set():
        status, _, body = exchange(connection, "POST", f"/v2/models/{model}/infer", REQUEST)
        seen[json.loads(body)["outputs"][0]["data"][0] if status == 200 else (status, body)] += 1
    connection.close()


def test_reloads_under_traffic_fail_no_request(explicit: ServerProcess, models: Path) -> None:
    write_model(models, "busy", config(), code(0))
    assert load(explicit, "busy")[0] == 200
    stop = threading.Event()
    seen: Counter[object] = Counter()
    clients = [threading.Thread(target=hammer, args=(explicit, "busy", stop, seen)) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for value in range(1, 13):
            (models / "busy" / "1" / "model.py").write_text(code(value) + "#" * value)
            (models / "busy" / "config.pbtxt").write_text(config(count=1 + value % 3))
            assert load(explicit, "busy")[0] == 200
            assert value_of(explicit, "busy") == value
        (models / "busy" / "1" / "model.py").write_text("raise RuntimeError('broken')")
        assert load(explicit, "busy")[0] in (400, 500)
        assert value_of(explicit, "busy") == 12
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert all(isinstance(answer, int) for answer in seen), seen
    assert sum(seen.values()) > 100


def test_instances_change_in_place(explicit: ServerProcess, models: Path) -> None:
    write_model(models, "many", config(), code(5))
    assert load(explicit, "many")[0] == 200
    until(lambda: explicit.log.count("loaded 'many' version 1 in") == 1)
    for count in (4, 2, 1):
        (models / "many" / "config.pbtxt").write_text(config(count=count))
        assert load(explicit, "many")[0] == 200
        until(lambda count=count: f"'many' version 1 has {count} instances now" in explicit.log)
        assert value_of(explicit, "many") == 5
        shown = explicit.json("GET", "/v2/models/many/config")[1]
        assert isinstance(shown, dict) and shown["instance_group"][0]["count"] == count
    assert explicit.log.count("loaded 'many' version 1 in") == 1


@pytest.fixture(scope="module")
def labelled(explicit: ServerProcess, models: Path) -> str:
    write_model(
        models,
        "labelled",
        config(
            "version_policy { all { } }",
            'parameters { key: "version_labels" value { string_value: "stable=1,canary=2" } }',
            'parameters { key: "version_split" value { string_value: "stable=3,canary=1" } }',
        ),
        code(1),
    )
    add_version(models, "labelled", 2, 2)
    assert load(explicit, "labelled")[0] == 200
    return "labelled"


def test_a_label_is_as_good_as_a_number(explicit: ServerProcess, labelled: str) -> None:
    assert value_of(explicit, labelled, "stable") == 1
    assert value_of(explicit, labelled, "canary") == 2
    path = f"/v2/models/{labelled}/versions"
    metadata = explicit.json("GET", f"{path}/canary")[1]
    assert isinstance(metadata, dict) and metadata["versions"] == ["2"]
    assert explicit.call("GET", f"{path}/stable/ready")[0] == 200
    stats = explicit.json("GET", f"{path}/canary/stats")[1]
    assert isinstance(stats, dict) and stats["model_stats"][0]["version"] == "2"
    status, _, body = explicit.call("POST", f"{path}/nightly/infer", REQUEST)
    assert status == 404 and b"no version with the label 'nightly'" in body
    assert explicit.call("POST", "/v2/models/seven/versions/canary/infer", REQUEST)[::2] == (
        404,
        b'{"error":"Not Found"}',
    )
    with grpc.insecure_channel(explicit.grpc) as channel:
        request = protos.ModelInferRequest(model_name=labelled, model_version="canary")
        request.inputs.add(name="X", datatype="INT32", shape=[1])
        request.raw_input_contents.append(bytes(4))
        stub = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer = protos.ModelInferResponse.FromString(stub(request.SerializeToString(), timeout=60))
    assert answer.model_version == "2"


def test_requests_are_split_and_rolled_back(explicit: ServerProcess, labelled: str) -> None:
    def answers(count: int = 40) -> Counter[int]:
        return Counter(value_of(explicit, labelled) for _ in range(count))

    seen = answers()
    assert 28 <= seen[1] <= 32 and seen[1] + seen[2] == 40
    path = f"/v2/models/{labelled}/rollout"
    new = {"labels": {"stable": 2}, "split": {"stable": 1}}
    assert explicit.json("POST", path, new) == (200, new | {"shadow": None})
    assert answers(8) == {2: 8}
    status, body = explicit.json("POST", path, {"split": {"9": 1}})
    assert status == 400 and "not served" in str(body)
    assert explicit.json("POST", path, {"rollback": True})[0] == 200
    assert set(answers()) == {1, 2}
    assert explicit.json("GET", path)[1] == {
        "labels": {"canary": 2, "stable": 1},
        "split": {"canary": 1, "stable": 3},
        "shadow": None,
    }
    assert explicit.json("GET", "/v2/models/absent/rollout")[0] == 404


def test_a_shadow_works_and_answers_nobody(explicit: ServerProcess, labelled: str) -> None:
    def num_answered(version: str) -> int:
        stats = explicit.json("GET", f"/v2/models/{labelled}/versions/{version}/stats")[1]
        assert isinstance(stats, dict)
        return int(stats["model_stats"][0]["inference_stats"]["success"]["count"])

    path = f"/v2/models/{labelled}/rollout"
    before = num_answered("2")
    assert explicit.json("POST", path, {"split": {"1": 1}, "shadow": {"version": "2"}})[0] == 200
    assert [value_of(explicit, labelled) for _ in range(10)] == [1] * 10
    until(lambda: num_answered("2") == before + 10)
    assert explicit.json("POST", path, {"rollback": True})[0] == 200


def test_the_modes_refuse_what_is_not_theirs(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "seven", config(), code(7))
    pytest.importorskip("watchfiles")
    server = start_server(tmp_path, "--model-control-mode=poll")
    status, body = server.json("POST", "/v2/repository/models/seven/load")
    assert status == 503 and "not allowed if polling is enabled" in str(body)


def test_poll_mode_follows_the_repository(start_server: Start, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    repository = tmp_path / "models"
    write_model(repository, "first", config(), code(1))
    server = start_server(repository, "--model-control-mode=poll", "--repository-poll-secs=3600")
    assert value_of(server, "first") == 1

    write_model(tmp_path / "elsewhere", "second", config(), code(2))
    shutil.copytree(tmp_path / "elsewhere" / "second", repository / "second")
    until(lambda: server.call("GET", "/v2/models/second/ready")[0] == 200)
    assert value_of(server, "second") == 2

    (repository / "first" / "1" / "model.py").write_text(code(3))
    until(lambda: value_of(server, "first") == 3)
    (repository / "first" / "1" / "model.py").write_text("raise RuntimeError('broken')")
    until(lambda: "failed to load 'first'" in server.log)
    assert value_of(server, "first") == 3

    shutil.rmtree(repository / "second")
    until(lambda: "successfully unloaded 'second'" in server.log)
    assert server.call("POST", "/v2/models/second/infer", REQUEST)[0] == 404
    assert server.call("GET", "/v2/health/ready")[0] == 200
    server.signal()
    assert server.wait() == 0, server.log


def test_a_model_that_is_copied_slowly_is_not_served_half(start_server: Start, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    repository = tmp_path / "models"
    write_model(repository, "first", config(), code(1))
    server = start_server(repository, "--model-control-mode=poll", "--repository-poll-secs=1")
    version = repository / "slow" / "1"
    version.mkdir(parents=True)
    (repository / "slow" / "config.pbtxt").write_text(config())
    whole = code(4)
    with (version / "model.py").open("w") as file:
        for start in range(0, len(whole), 40):
            file.write(whole[start : start + 40])
            file.flush()
            os.fsync(file.fileno())
            assert server.call("GET", "/v2/models/slow/ready")[0] == 400
            threading.Event().wait(0.1)
    until(lambda: server.call("GET", "/v2/models/slow/ready")[0] == 200)
    assert value_of(server, "slow") == 4
    assert "failed to load 'slow'" not in server.log
