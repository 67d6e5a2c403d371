"""The dashboard's own API, on the metrics port of a live server."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import IDENTITY, ServerProcess, Start, infer_request, until, write_model

JSON = {"Content-Type": "application/json"}
ENSEMBLE = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [
  { model_name: "identity" model_version: -1
    input_map { key: "INPUT0" value: "IN" } output_map { key: "OUTPUT0" value: "OUT" } }
] }
"""


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("dashboard")
    write_model(repository, "identity", IDENTITY)
    write_model(repository, "both", ENSEMBLE)
    write_model(repository, "a-b.c", IDENTITY)
    return start_server(
        repository, "--model-control-mode=explicit", "--load-model=*", "--http-max-input-size=65536"
    )


def ask(
    server: ServerProcess,
    path: str,
    value: Any = None,
    headers: dict[str, str] | None = None,
    method: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """POST where there is a value."""
    with contextlib.closing(http.client.HTTPConnection(server.metrics, timeout=30)) as connection:
        body = None if value is None else json.dumps(value)
        fields = JSON | (headers or {}) if value is not None else headers or {}
        connection.request(method or ("GET" if value is None else "POST"), path, body=body, headers=fields)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def read(server: ServerProcess, path: str) -> Any:
    status, _, body = ask(server, path)
    assert status == 200, body
    return json.loads(body)


def try_it(server: ServerProcess, model: str, tensor: str, shape: list[int], **more: Any) -> list[Any]:
    given = {"inputs": [{"name": tensor, "datatype": "FP32", "shape": shape, **more}]}
    status, headers, body = ask(server, f"/ui/api/models/{model}/infer", given)
    assert (status, headers["content-type"]) == (200, "application/x-ndjson"), body
    return [json.loads(line) for line in body.splitlines()]


def test_the_page_is_there_and_its_address_without_a_slash_leads_to_it(served: ServerProcess) -> None:
    status, headers, body = ask(served, "/ui/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'src="main.js"' in body
    assert (ask(served, "/ui")[0], ask(served, "/ui")[1]["location"]) == (308, "/ui/")
    assert ask(served, "/ui/nothing.js")[0] == ask(served, "/ui/api/nothing")[0] == 404
    assert ask(served, "/ui/api/fleet", {})[0] == 405


def test_the_fleet(served: ServerProcess) -> None:
    fleet = read(served, "/ui/api/fleet")
    models = {model["name"]: model for model in fleet["models"]}
    assert sorted(models) == ["a-b.c", "both", "identity"]
    assert models["identity"]["versions"][0]["state"] == "READY"
    assert models["identity"]["scheduling"] == "dynamic batching"
    (step,) = models["both"]["steps"]
    assert step["model"] == "identity"
    assert (step["inputs"], step["outputs"]) == ({"INPUT0": "IN"}, {"OUTPUT0": "OUT"})
    assert fleet["server"]["control_mode"] == "explicit"
    assert fleet["server"]["urls"]["Dashboard"] == f"http://{served.metrics}/ui/"


def test_figures_count_what_was_asked(served: ServerProcess) -> None:
    def of(name: str) -> Any:
        return next(model for model in read(served, "/ui/api/figures")["models"] if model["name"] == name)

    before = of("identity")
    for _ in range(3):
        assert served.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
    until(lambda: of("identity")["success"] == before["success"] + 3)
    after = of("identity")
    assert after["request"][0] == before["request"][0] + 3
    assert sum(count for _, count in after["request"][2]) == after["request"][0]
    assert after["instances"][0][1] >= before["instances"][0][1]
    machine = read(served, "/ui/api/figures")["machine"]
    assert 0 < machine["cpu_s"][0] <= machine["cpu_s"][1]
    assert machine["server_memory"] > 0


def test_a_request_and_its_steps(served: ServerProcess) -> None:
    answer, end = try_it(served, "both", "IN", [2, 2], data=[[1, 2], [3, 4]])
    (output,) = answer["outputs"]
    assert (output["name"], output["shape"], output["stored"]) == ("OUT", [2, 2], "FP32")
    whole, step = sorted(end["spans"], key=lambda span: span["id"])
    assert (whole["model"], step["model"], step["parent"]) == ("both", "identity", whole["id"])
    times = [step[key] for key in ("start_us", "compute_us", "computed_us", "end_us")]
    assert [0, *times, whole["end_us"]] == sorted([whole["start_us"], *times, whole["end_us"]])
    # Traced for who asked alone.
    assert served.json("GET", "/v2/trace/setting")[1]["trace_level"] == ["OFF"]  # type: ignore[index]
    assert try_it(served, "a%2Db.c", "INPUT0", [1, 1], data=[7])[0]["outputs"][0]["shape"] == [1, 1]


@pytest.mark.parametrize(
    ("path", "value", "status", "words"),
    [
        ("models/identity/infer", {"inputs": [{"name": "X"}]}, 400, "unknown datatype"),
        ("models/identity/infer", {"inputs": []}, 400, "identity"),
        ("models/identity/infer", {"inputs": [], "output": 1}, 400, "unknown field 'output'"),
        ("models/identity/infer", {"inputs": [], "parameters": 1}, 400, "'parameters' should be an object"),
        ("models/identity/infer", [1], 400, "should be a JSON object"),
        ("models/identity/infer", {"inputs": ["x" * 70000]}, 400, "exceeds the maximum"),
        ("models/nobody/infer", {"inputs": []}, 404, "nobody"),
        ("models/identity/versions/7/infer", {"inputs": []}, 404, "version"),
        ("models/identity/load", {"parameters": {"config": "{}"}}, 400, "expected {}"),
        ("models/nobody/load", {}, 400, "nobody"),
    ],
)
def test_what_is_wrong_is_said(served: ServerProcess, path: str, value: Any, status: int, words: str) -> None:
    got, headers, body = ask(served, f"/ui/api/{path}", value)
    assert (got, headers["content-type"]) == (status, "application/json"), body
    assert words in json.loads(body)["error"]


def test_other_sites_reach_nothing(served: ServerProcess) -> None:
    own = {"Origin": f"http://{served.metrics}", "Sec-Fetch-Site": "same-origin"}
    path = "/ui/api/models/identity/unload"
    assert ask(served, path, {}, {"Origin": "http://evil.example"})[0] == 403
    assert ask(served, path, {}, {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert ask(served, path, {}, {"Content-Type": "text/plain"})[0] == 415
    assert ask(served, "/ui/api/fleet", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    for foreign in ("/ui/", "/ui/api/fleet"):
        status, headers, _ = ask(served, foreign, headers={"Host": "evil.example"})
        assert status == 403
        assert "access-control-allow-origin" not in headers
    assert ask(served, path, method="OPTIONS")[0] == 405
    assert ask(served, "/ui/api/fleet", headers=own)[0] == 200


def test_loading_and_unloading(served: ServerProcess) -> None:
    def state() -> str:
        models = read(served, "/ui/api/fleet")["models"]
        return str(next(model for model in models if model["name"] == "a-b.c")["versions"][0]["state"])

    assert ask(served, "/ui/api/models/a%2Db.c/unload", {})[0] == 200
    assert state() == "UNAVAILABLE"
    assert ask(served, "/ui/api/models/a%2Db.c/load", {})[0] == 200
    assert state() == "READY"
    assert "/ui/api/models/a%2Db.c/unload by the dashboard" in served.log


def test_a_chat_goes_to_the_openai_api(openai_server: ServerProcess) -> None:
    request = {"model": "language", "messages": [{"role": "user", "content": "SAY yes"}]}
    status, _, body = ask(openai_server, "/ui/v1/chat/completions", request)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "yes"
    status, _, body = ask(openai_server, "/ui/v1/chat/completions", request | {"model": "numbers"})
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")


def test_who_may_scrape_from_elsewhere_only_looks(start_server: Start, repository: Path) -> None:
    server = start_server(repository, "--metrics-address=0.0.0.0")
    assert read(server, "/ui/api/access") == {
        "read": True,
        "infer": False,
        "admin": False,
        "needs_key": False,
    }
    status, _, body = ask(server, "/ui/api/models/identity/infer", {"inputs": []})
    assert status == 403
    assert "this page only shows" in json.loads(body)["error"]
    assert ask(server, "/ui/", headers={"Host": "gpu-1.example"})[0] == 200


def test_restricted_apis_are_restricted_here_too(start_server: Start, repository: Path) -> None:
    server = start_server(repository, "--http-restricted-api=inference,model-repository:who=me")
    request = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}
    path = "/ui/api/models/identity/infer"
    assert ask(server, path, request)[0] == ask(server, "/ui/api/models/identity/load", {})[0] == 403
    assert ask(server, path, request, {"who": "me"})[0] == 200
    assert ask(server, "/metrics")[0] == ask(server, "/ui/api/fleet")[0] == 200


def test_the_page_can_be_left_out(start_server: Start, repository: Path) -> None:
    server = start_server(repository, "--metrics-config=dashboard=false")
    assert ask(server, "/metrics")[0] == 200
    assert {ask(server, path)[0] for path in ("/ui", "/ui/", "/ui/main.js", "/ui/api/fleet")} == {404}
