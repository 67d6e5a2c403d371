"""Six models on two replicas that hold two each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from ..integration.conftest import IDENTITY, until, write_model
from .conftest import PATIENCE_S, Deployments

NAMES = ["a", "b", "c", "d", "e", "f"]
ENSEMBLE = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [ {
  model_name: "a" model_version: -1
  input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "OUTPUT0" }
} ] }
"""


# Notes each time that it is loaded.
NOTING = """
backend: "python"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
parameters { key: "notes" value { string_value: "@NOTES@" } }
"""
NOTING_MODEL = """
import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        with open(json.loads(args["model_config"])["parameters"]["notes"]["string_value"], "a") as notes:
            notes.write(args["model_name"])

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy())]
            )
            for request in requests
        ]
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A letter for each load of p, q and r."""
    path = tmp_path_factory.mktemp("notes") / "loads"
    path.touch()
    return path


@pytest.fixture(scope="module")
def served(
    deployments: Deployments, notes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployments]:
    repository = tmp_path_factory.mktemp("models")
    for name in NAMES:
        write_model(repository, name, IDENTITY)
    for name in "pqr":
        write_model(repository, name, NOTING.replace("@NOTES@", str(notes)), NOTING_MODEL)
    write_model(repository, "both", ENSEMBLE)
    write_model(repository, "broken", 'backend: "onnxruntime"')
    with deployments.serving(repository, "--replicas=2", "--models-per-replica=2"):
        yield deployments


def infer(served: Deployments, kind: Any, name: str) -> Any:
    url = served.http if kind is triton_http else served.grpc
    with kind.InferenceServerClient(url) as client:
        values = np.arange(4, dtype=np.float32).reshape(1, 4)
        given = kind.InferInput("INPUT0", [1, 4], "FP32")
        given.set_data_from_numpy(values)
        return client.infer(name, [given]).as_numpy("OUTPUT0").tolist()


def most_loaded(served: Deployments) -> int:
    """Of whichever replicas answer, how many models the fullest one has."""
    with triton_http.InferenceServerClient(served.http) as client:
        indices = [client.get_model_repository_index() for _ in range(12)]
    return max(sum(row.get("state") == "READY" for row in index) for index in indices)


def test_each_is_there_when_it_is_asked_for(served: Deployments) -> None:
    for kind in (triton_http, triton_grpc):
        for name in NAMES:
            assert infer(served, kind, name) == [[0, 1, 2, 3]]
            assert most_loaded(served) <= 2


def test_none_ends_under_a_request(served: Deployments) -> None:
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda number: infer(served, triton_http, NAMES[number % 6]), range(60)))
    assert found == [[[0, 1, 2, 3]]] * 60


@pytest.mark.parametrize("kind", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_what_can_not_be_had_is_said(served: Deployments, kind: Any) -> None:
    infer(served, kind, "a")
    with pytest.raises(Exception, match="unknown model: 'nobody'"):
        infer(served, kind, "nobody")
    with pytest.raises(Exception, match="'broken' can not be loaded on demand: ") as broken:
        infer(served, kind, "broken")
    assert broken.value.status() in ("503", "StatusCode.UNAVAILABLE")
    with pytest.raises(Exception, match="is an ensemble.*without --models-per-replica") as both:
        infer(served, kind, "both")
    assert both.value.status() in ("501", "StatusCode.UNIMPLEMENTED")


def test_requests_go_where_the_model_is(served: Deployments, notes: Path) -> None:
    """Three models have four places: once they are there none is loaded again, as long as requests find them.
    Of replicas chosen without a look at that, one in three would not have the model.
    """

    def stay() -> bool:
        before = notes.read_text()
        for _ in range(5):
            for name in "pqr":
                infer(served, triton_http, name)
                infer(served, triton_grpc, name)
        return notes.read_text() == before

    until(stay, "models are loaded again and again", patience_s=PATIENCE_S)
