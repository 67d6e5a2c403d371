"""What ``import naiad`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.api import InferenceResult, Server
from naiad.errors import InvalidArgument


def test_public_names() -> None:
    assert naiad.Server is Server
    assert all(hasattr(naiad, name) for name in naiad.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        naiad.nonsense  # noqa: B018


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert naiad.__version__ == project["project"]["version"]


def test_importing_it_loads_no_engine() -> None:
    code = "import sys, naiad; print({'naiad._core', 'numpy', 'google.protobuf'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


class FakeTensor:
    datatype = "FP32"
    shape = (2,)

    def numpy(self) -> object:
        return np.ones(2, np.float32)


class FakeResult:
    id = "r"
    parameters = {"k": 1}
    outputs = {"y": FakeTensor()}


def test_a_result_is_a_mapping_of_arrays() -> None:
    result = InferenceResult(FakeResult())  # type: ignore[arg-type]
    assert list(result) == ["y"]
    assert len(result) == 1
    assert result["y"].tolist() == [1, 1]
    assert dict(result).keys() == {"y"}
    assert result.request_id == "r"
    assert result.parameters == {"k": 1}
    assert result.tensor("y") is FakeResult.outputs["y"]
    assert repr(result) == "InferenceResult(y: FP32[2])"
    with pytest.raises(KeyError):
        result["absent"]


def test_a_server_needs_a_repository(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no model repository"):
        Server([])
