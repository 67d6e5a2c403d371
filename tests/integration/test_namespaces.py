"""Repositories with models of equal names, served together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from .conftest import ServerProcess, Start, until
from .test_metrics import scrape
from .twin_repositories import write_twins

AMBIGUOUS = (
    "There are 2 identifiers of model '{}' in global map, model namespace must be provided to resolve "
    "ambiguity."
)


def ask(server: ServerProcess, model: str) -> Any:
    """What it makes of 1, or status and error."""
    tensor = {"name": "X", "shape": [1], "datatype": "INT32", "data": [1]}
    status, body = server.json("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]})
    assert isinstance(body, dict)
    return body["outputs"][0]["data"][0] if status == 200 else (status, body["error"])


def control(server: ServerProcess, what: str, model: str) -> int:
    return server.json("POST", f"/v2/repository/models/{model}/{what}")[0]


def serve(start_server: Start, roots: tuple[Path, ...], *flags: str) -> ServerProcess:
    more = (f"--model-repository={root}" for root in roots[1:])
    return start_server(roots[0], *more, "--model-namespacing=true", *flags)


def index(server: ServerProcess) -> list[tuple[str, str]]:
    status, rows = server.json("POST", "/v2/repository/index")
    assert status == 200 and isinstance(rows, list)
    return [(row["name"], row.get("state", "")) for row in rows]


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    return serve(start_server, write_twins(tmp_path_factory.mktemp("twins"))[:2])


def test_ensembles_have_the_models_of_their_own_repository(served: ServerProcess) -> None:
    assert ask(served, "over_one") == 11
    assert ask(served, "over_two") == 21
    assert ask(served, "lone") == 2
    assert ask(served, "reach") == 2


@pytest.mark.parametrize("name", ["twin", "both"])
def test_a_name_that_several_bear_means_none(served: ServerProcess, name: str) -> None:
    refusal = AMBIGUOUS.format(name)
    assert ask(served, name) == (400, refusal)
    for path in (f"/v2/models/{name}", f"/v2/models/{name}/config", f"/v2/models/{name}/versions/1"):
        assert served.json("GET", path) == (400, {"error": refusal})
    with triton_grpc.InferenceServerClient(served.grpc) as client:
        tensor = triton_grpc.InferInput("X", [1], "INT32")
        tensor._raw_content = b"\1\0\0\0"
        with pytest.raises(InferenceServerException) as refused:
            client.infer(name, [tensor])
        assert refused.value.message() == refusal
        assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_the_number_of_the_repository_tells_them_apart(served: ServerProcess) -> None:
    assert [ask(served, f"{number}::twin") for number in (1, 2)] == [11, 21]
    assert [ask(served, f"{number}::both") for number in (1, 2)] == [11, 21]
    assert ask(served, "2::lone") == (404, "Request for unknown model: '2::lone' is not found")
    status, body = served.json("GET", "/v2/models/2::twin")
    assert status == 200 and isinstance(body, dict) and body["name"] == "twin"


def test_all_are_shown(served: ServerProcess) -> None:
    names = ["both", "lone", "over_one", "twin", "both", "over_two", "reach", "twin"]
    assert index(served) == [(name, "READY") for name in names]
    status, body = served.json("GET", "/v2/models/twin/stats")
    assert status == 200 and isinstance(body, dict)
    assert [each["name"] for each in body["model_stats"]] == ["twin", "twin"]
    status, body = served.json("GET", "/v2/models/2::twin/stats")
    assert isinstance(body, dict) and len(body["model_stats"]) == 1
    text = scrape(served)
    for number in (1, 2):
        labels = f'model="twin",namespace="{number}",version="1"'
        assert f"nv_inference_request_success{{{labels}}} " in text


def test_loads_and_unloads(start_server: Start, tmp_path: Path) -> None:
    server = serve(start_server, write_twins(tmp_path), "--model-control-mode=explicit")
    assert ask(server, "twin") == (404, "Request for unknown model: 'twin' is not found")
    assert control(server, "load", "over_one") == 200
    assert (ask(server, "over_one"), ask(server, "1::twin")) == (11, 11)
    assert control(server, "load", "both") == 200
    assert (ask(server, "1::both"), ask(server, "2::both")) == (11, 21)
    assert ask(server, "twin") == (400, AMBIGUOUS.format("twin"))
    status, body = server.json("POST", "/v2/repository/models/lost/load")
    assert status == 400 and isinstance(body, dict)
    assert "lost contains models that are not available or ambiguous: twin" in body["error"]
    assert str(tmp_path) not in body["error"]
    assert control(server, "load", "reach") == 200 and ask(server, "reach") == 2
    # With what is over them.
    assert control(server, "unload", "twin") == 200
    gone = "Request for unknown model: '{}' has no available versions"
    for name in ("twin", "both", "over_one"):
        assert ask(server, name) == (404, gone.format(name))
    assert (control(server, "load", "twin"), ask(server, "2::twin")) == (200, 21)
    assert control(server, "unload", "1::twin") == 200
    assert ask(server, "twin") == 21
    assert str(tmp_path) not in "".join(str(row) for row in index(server))


def test_ensembles_follow_models_that_come_and_go(start_server: Start, tmp_path: Path) -> None:
    """As in Triton's own test: without the model of its own repository, the only other one is taken."""
    roots = write_twins(tmp_path)[:2]
    kept = tmp_path / "kept"
    server = serve(start_server, roots, "--model-control-mode=explicit")
    shutil.move(roots[0] / "twin", kept)
    for name in ("over_one", "over_two"):
        assert control(server, "load", name) == 200
    assert [ask(server, name) for name in ("over_one", "over_two", "twin")] == [21, 21, 21]
    shutil.move(kept, roots[0] / "twin")
    assert control(server, "load", "over_one") == 200
    assert [ask(server, name) for name in ("over_one", "over_two")] == [11, 21]
    assert ask(server, "twin") == (400, AMBIGUOUS.format("twin"))


def test_poll_mode(start_server: Start, tmp_path: Path) -> None:
    roots = write_twins(tmp_path)[:2]
    kept = tmp_path / "kept"
    server = serve(start_server, roots, "--model-control-mode=poll", "--repository-poll-secs=1")
    assert [ask(server, name) for name in ("over_one", "over_two")] == [11, 21]
    shutil.move(roots[0] / "twin", kept)
    until(lambda: ask(server, "over_one") == 21)
    assert (ask(server, "over_two"), ask(server, "twin")) == (21, 21)
    shutil.move(kept, roots[0] / "twin")
    until(lambda: ask(server, "over_one") == 11)
    assert ask(server, "twin") == (400, AMBIGUOUS.format("twin"))
