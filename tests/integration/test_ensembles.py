"""Ensembles: what they answer, and what becomes of them when their models change."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument, NaiadError, NotFound

from .conftest import write_model

FP32_IN = 'input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]'
FP32_OUT = 'output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]'
ADD = f'backend: "python" max_batch_size: 8 {FP32_IN} {FP32_OUT} dynamic_batching {{ }}'
ADD_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            if (x < 0).any():
                error = pb_utils.TritonError("suite below zero", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse([], error=error))
            else:
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", x + AMOUNT)]))
        return responses
"""
FLAG = (
    f'backend: "python" max_batch_size: 8 {FP32_IN} '
    'output [ { name: "F" data_type: TYPE_BOOL dims: [ 1 ] } ]'
)
FLAG_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("F", x[:, :1] > 10)]) for x in inputs]
"""


def step(model: str, source: str, target: str, output: str = "Y") -> str:
    return (
        f'{{ model_name: "{model}" model_version: -1 input_map {{ key: "X" value: "{source}" }} '
        f'output_map {{ key: "{output}" value: "{target}" }} }}'
    )


def ensemble(*steps: str, more: str = "") -> str:
    return (
        f'platform: "ensemble" max_batch_size: 8 {FP32_IN} {FP32_OUT} {more} '
        f"ensemble_scheduling {{ step [ {', '.join(steps)} ] }}"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_model(tmp_path, "add1", ADD, ADD_MODEL.replace("AMOUNT", "1"))
    write_model(tmp_path, "add10", ADD, ADD_MODEL.replace("AMOUNT", "10"))
    write_model(tmp_path, "same", ADD.replace('"python"', '"identity"'))
    write_model(tmp_path, "flag", FLAG, FLAG_MODEL)
    write_model(
        tmp_path, "chain", ensemble(step("add1", "X", "a"), step("same", "a", "b"), step("add10", "b", "Y"))
    )
    write_model(tmp_path, "nested", ensemble(step("chain", "X", "a"), step("chain", "a", "Y")))
    native = [step("same", "X" if i == 0 else f"t{i}", "Y" if i == 5 else f"t{i + 1}") for i in range(6)]
    write_model(tmp_path, "native", ensemble(*native))
    write_model(
        tmp_path,
        "choice",
        ensemble(
            step("flag", "X", "big", "F"),
            step("add1", "X", "Y"),
            more='parameters { key: "when:1" value { string_value: "!big" } }',
        ),
    )
    return tmp_path


@pytest.fixture
def server(repository: Path) -> Iterator[naiad.Server]:
    with naiad.Server(
        model_repository=repository, control_mode="explicit", load_models=["*"], pool_bytes=64 << 20
    ) as made:
        yield made


def ask(server: naiad.Server, model: str, *values: float) -> list[float]:
    result = server.model(model).infer({"X": np.array([values], np.float32)})
    return [float(value) for value in result["Y"][0]]


def success(server: naiad.Server, model: str) -> int:
    return int(server.model(model).statistics()["inference_stats"]["success"]["count"])


def test_chains_nested_and_native(server: naiad.Server) -> None:
    assert ask(server, "chain", 1, 2) == [12, 13]
    assert ask(server, "nested", 1) == [23]
    assert ask(server, "native", 4, 5) == [4, 5]
    assert success(server, "nested") == 1
    assert success(server, "chain") == 3
    assert success(server, "same") == 9


def test_times_are_the_sums_of_those_of_the_steps(server: naiad.Server) -> None:
    """As Triton's; of an ensemble in an ensemble too."""
    for _ in range(3):
        ask(server, "nested", 1)
    names = ("nested", "chain", "add1", "same", "add10")
    stats = {name: server.model(name).statistics()["inference_stats"] for name in names}
    for part in ("compute_input", "compute_infer", "compute_output"):
        nested, chain, *steps = (stats[name][part]["ns"] for name in names)
        assert nested == chain == sum(steps), part


def test_many_at_once_each_get_their_own(server: naiad.Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ask(server, "nested" if i % 2 else "native", i), range(200)))
    assert answers == [[i + 22] if i % 2 else [i] for i in range(200)]


def test_a_failure_names_ensemble_and_step(server: naiad.Server) -> None:
    with pytest.raises(NaiadError, match="suite below zero") as failed:
        ask(server, "nested", -5)
    inner = "in ensemble 'chain', step 0 ('add1'): suite below zero"
    assert str(failed.value) == f"in ensemble 'nested', step 0 ('chain'): {inner}"
    assert ask(server, "chain", 1) == [12]
    assert server.model("chain").statistics()["inference_stats"]["fail"]["count"] == 1


def test_a_step_that_is_skipped(server: naiad.Server) -> None:
    model = server.model("choice")
    assert ask(server, "choice", 1) == [2]
    assert dict(model.infer({"X": np.array([[11]], np.float32)})) == {}
    with pytest.raises(InvalidArgument, match="was not made: the step that makes it was skipped"):
        model.infer({"X": np.array([[11]], np.float32)}, outputs=["Y"])


def test_a_model_that_goes_takes_its_ensembles_along(server: naiad.Server) -> None:
    server.unload("add10")
    for name in ("add10", "chain", "nested"):
        with pytest.raises(NotFound, match="no available versions"):
            ask(server, name, 1)
    assert ask(server, "native", 1) == [1]
    server.load("nested")
    assert ask(server, "nested", 1) == [23]


def test_a_model_that_changes_changes_its_ensembles(server: naiad.Server, repository: Path) -> None:
    (repository / "add10" / "1" / "model.py").write_text(ADD_MODEL.replace("AMOUNT", "100"))
    server.load("add10")
    assert ask(server, "nested", 1) == [203]
    # One that no longer fits takes them out of service, and says why.
    (repository / "add10" / "config.pbtxt").write_text(ADD.replace("max_batch_size: 8", "max_batch_size: 4"))
    server.load("add10")
    with pytest.raises(NotFound, match="no available versions"):
        ask(server, "chain", 1)
    reasons = {row["name"]: row.get("reason", "") for row in server._control.index("", False)}
    assert "allows maximum batch size 8" in reasons["chain"]
    assert "not available" in reasons["nested"]


def test_ensembles_that_name_each_other_are_refused(server: naiad.Server, repository: Path) -> None:
    write_model(repository, "one", ensemble(step("two", "X", "Y")))
    write_model(repository, "two", ensemble(step("one", "X", "Y")))
    with pytest.raises(InvalidArgument, match="not available or ambiguous: two"):
        server.load("one")


def test_the_configuration_is_tritons(server: naiad.Server) -> None:
    config: Any = server.model("chain").config
    assert (config["platform"], config["backend"], config["instance_group"]) == ("ensemble", "", [])
    assert [each["model_name"] for each in config["ensemble_scheduling"]["step"]] == ["add1", "same", "add10"]
    assert server.model("chain").metadata["platform"] == "ensemble"
    json.dumps(config)
