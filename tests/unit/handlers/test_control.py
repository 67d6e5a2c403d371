"""The control plane, over a repository of fakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from naiad import protos
from naiad.config import ModelConfig
from naiad.errors import InvalidArgument, NotFound, Unavailable, Unsupported
from naiad.handlers.control import ControlPlane, version_number
from naiad.settings import RepositorySettings, ServerSettings

COUNTED = {
    "inference_count": 5,
    "execution_count": 2,
    "last_inference_ms": 1234,
    "success": (4, 400),
    "fail": (1, 10),
    "queue": (4, 40),
    "compute_input": (4, 41),
    "compute_infer": (4, 42),
    "compute_output": (4, 43),
    "cache_hit": (2, 44),
    "cache_miss": (4, 45),
    "failures": {"BACKEND": 1},
    "batches": [(1, (1, 1), (1, 2), (1, 3)), (4, (1, 40), (1, 40), (1, 40))],
    "responses": {
        0: {
            "compute_infer": (2, 7),
            "compute_output": (2, 1),
            "success": (2, 9),
            "fail": (0, 0),
            "empty_response": (0, 0),
            "cancel": (0, 0),
        }
    },
}


class FakeModel:
    pending = 3

    def statistics(self) -> dict[str, Any]:
        return COUNTED


@dataclass
class Served:
    name: str
    version: int
    config: ModelConfig
    versions: list[int]
    model: FakeModel = field(default_factory=FakeModel)
    load_duration_s: float = 0.5
    namespace: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}::{self.name}" if self.namespace else self.name


@dataclass
class Row:
    name: str
    version: str
    state: str
    reason: str


def config(name: str, *, max_batch_size: int = 0, platform: str = "") -> ModelConfig:
    message = protos.ModelConfig(
        name=name, backend="python", platform=platform, max_batch_size=max_batch_size
    )
    message.input.add(name="I", data_type="TYPE_STRING", dims=[-1, 2])
    message.output.add(name="O", data_type="TYPE_FP16", dims=[3])
    return ModelConfig.of(message)


class FakeRepository:
    def __init__(self) -> None:
        self.versions = [
            Served("b", 1, config("b"), [1]),
            Served("a", 12, config("a", max_batch_size=4, platform="onnxruntime_onnx"), [3, 12]),
            Served("a", 3, config("a", max_batch_size=4, platform="onnxruntime_onnx"), [3, 12]),
        ]
        self.strict = False
        self.calls: list[tuple[Any, ...]] = []

    def load(
        self, name: str, config_json: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        self.calls.append(("load", name, config_json, dict(files or {})))

    def unload(self, name: str, unload_dependents: bool = False) -> None:
        self.calls.append(("unload", name, unload_dependents))

    def index(self, ready_only: bool = False) -> list[Row]:
        self.calls.append(("index", ready_only))
        return [Row("a", "3", "READY", ""), Row("c", "", "", ""), Row("d", "1", "UNAVAILABLE", "unloaded")]

    def find(self, name: str, version: str = "") -> Served:
        for served in self.versions:
            if served.name == name and version in ("", str(served.version)):
                return served
        raise NotFound(f"Request for unknown model: '{name}' is not found")

    def is_ready(self, name: str, version: str = "") -> bool:
        return bool(self.find(name, version))

    def must_summon(self, name: str) -> bool:
        return name == "sleeping"

    def summon(self, name: str) -> None:
        raise InvalidArgument(f"load failed for model '{name}': no weights")

    def has_labels(self, name: str) -> bool:
        return name == "a"

    def rollout(self, name: str) -> dict[str, Any]:
        return {"labels": {}}

    def set_rollout(self, name: str, given: Mapping[str, Any]) -> None:
        self.calls.append(("set_rollout", name, dict(given)))

    def roll_back(self, name: str) -> None:
        self.calls.append(("roll_back", name))

    def all_ready(self) -> bool:
        return self.strict

    def loaded(self) -> list[Served]:
        return self.versions


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


def plane(repository: FakeRepository, **settings: Any) -> ControlPlane:
    return ControlPlane(repository, ServerSettings(RepositorySettings((Path("/m"),), **settings)))


def test_readiness(repository: FakeRepository) -> None:
    assert not plane(repository).ready()
    assert plane(repository, strict_readiness=False).ready()
    repository.strict = True
    control = plane(repository)
    assert control.ready()
    control.stopping = True
    assert not control.ready()


def test_metadata(repository: FakeRepository) -> None:
    control = plane(repository)
    assert control.model_metadata("a", "") == {
        "name": "a",
        "versions": ["3", "12"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "I", "datatype": "BYTES", "shape": [-1, -1, 2]}],
        "outputs": [{"name": "O", "datatype": "FP16", "shape": [-1, 3]}],
    }
    assert control.model_metadata("a", "3")["versions"] == ["3"]
    assert control.model_metadata("b", "")["platform"] == "python"
    assert control.model_metadata("b", "")["inputs"][0]["shape"] == [-1, 2]


def test_statistics_in_tritons_form(repository: FakeRepository) -> None:
    stats = plane(repository).statistics("a", "")["model_stats"]
    assert [(row["name"], row["version"]) for row in stats] == [("a", "3"), ("a", "12")]
    row = stats[0]
    assert (row["last_inference"], row["inference_count"], row["execution_count"]) == (1234, 5, 2)
    assert row["inference_stats"]["success"] == {"count": 4, "ns": 400}
    assert row["inference_stats"]["cache_hit"] == {"count": 2, "ns": 44}
    assert row["batch_stats"][1] == {
        "batch_size": 4,
        "compute_input": {"count": 1, "ns": 40},
        "compute_infer": {"count": 1, "ns": 40},
        "compute_output": {"count": 1, "ns": 40},
    }
    assert row["response_stats"]["0"]["success"] == {"count": 2, "ns": 9}
    assert set(row["response_stats"]["0"]) == {
        "compute_infer",
        "compute_output",
        "success",
        "fail",
        "empty_response",
        "cancel",
    }
    assert row["memory_usage"] == []


def test_which_statistics(repository: FakeRepository) -> None:
    control = plane(repository)
    assert len(control.statistics("", "")["model_stats"]) == 3
    assert [row["version"] for row in control.statistics("a", "12")["model_stats"]] == ["12"]
    with pytest.raises(InvalidArgument, match="requested model 'x' is not available"):
        control.statistics("x", "")
    with pytest.raises(InvalidArgument, match="requested model version is not available for model 'a'"):
        control.statistics("a", "4")
    with pytest.raises(InvalidArgument, match="version"):
        control.statistics("b", "x")
    with pytest.raises(NotFound):  # no such label
        control.statistics("a", "x")


def test_index(repository: FakeRepository) -> None:
    control = plane(repository)
    assert control.index("", True) == [
        {"name": "a", "version": "3", "state": "READY"},
        {"name": "c"},
        {"name": "d", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
    ]
    assert repository.calls == [("index", True)]
    with pytest.raises(Unsupported, match="'repository_name'"):
        control.index("r", False)


def test_load_and_unload_need_explicit_mode(repository: FakeRepository) -> None:
    control = plane(repository)
    for call in (control.load, control.unload):
        with pytest.raises(Unavailable, match="explicit model load / unload is not allowed"):
            call("", "a", {})
    assert repository.calls == []


def test_load_and_unload(repository: FakeRepository) -> None:
    control = plane(repository, control_mode="explicit")
    control.load("", "a", {})
    control.load("", "a", {"config": "{}"})
    control.unload("", "a", {"unload_dependents": True})
    control.load("", "a", {"config": "{}", "file:1/m": "eA==", "file:2/m": b"y"})
    assert repository.calls == [
        ("load", "a", None, {}),
        ("load", "a", "{}", {}),
        ("unload", "a", True),
        ("load", "a", "{}", {"1/m": b"x", "2/m": b"y"}),
    ]


def test_files_may_be_switched_off(repository: FakeRepository) -> None:
    control = plane(repository, control_mode="explicit", load_files=False)
    control.load("", "a", {"config": "{}"})
    with pytest.raises(Unsupported, match="--allow-load-files"):
        control.load("", "a", {"config": "{}", "file:1/m": "eA=="})


def test_the_rollout_is_set_and_undone(repository: FakeRepository) -> None:
    control = plane(repository)
    control.update_rollout("a", {"labels": {"x": 1}})
    control.update_rollout("a", {"rollback": True})
    assert repository.calls == [("set_rollout", "a", {"labels": {"x": 1}}), ("roll_back", "a")]
    for wrong in ({"rollback": False}, {"rollback": True, "labels": {}}):
        with pytest.raises(InvalidArgument, match="'rollback' should be true"):
            control.update_rollout("a", wrong)


@pytest.mark.parametrize(
    ("parameters", "kind", "words"),
    [
        ({"config": 3}, InvalidArgument, "config"),
        ({"file:1/model.py": "eA=="}, InvalidArgument, "without a 'config'"),
        ({"config": "{}", "file:1/model.py": "!!!"}, InvalidArgument, "is not base64"),
        ({"config": "{}", "file:1/model.py": 3}, InvalidArgument, "in base64"),
        ({"other": "x"}, InvalidArgument, "unrecognized parameter 'other'"),
    ],
)
def test_load_parameters(
    repository: FakeRepository, parameters: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        plane(repository, control_mode="explicit").load("", "a", parameters)
    assert repository.calls == []


@pytest.mark.parametrize("text", ["", "a", "-1", "+1", "1.0", "9" * 19, "9" * 100_000, "١"])
def test_version_number_refuses(text: str) -> None:
    with pytest.raises(InvalidArgument, match="version should be an integral value > 0") as caught:
        version_number(text)
    assert len(str(caught.value)) < 300
