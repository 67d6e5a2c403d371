"""An instance in a worker that says that it is broken: its batch fails, and the worker is replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.errors import BackendError, Internal

from .conftest import until

BACKEND = """
import os

import numpy as np

from naiad.backends.isolated import IsolatedBackend
from naiad.errors import BackendError


class Glass:
    is_broken = False

    def execute_batch(self, batch):
        given = {name: array for name, _, array in batch.inputs()}
        if given["X"].min() < 0:
            self.is_broken = True
            raise BackendError("it is broken")
        batch.place("PID", "INT64", (batch.num_rows, 1))[...] = os.getpid()
        batch.place("Y", "FP32", given["X"].shape)[...] = given["X"]
        batch.place("COUNT", "INT32", (batch.num_rows, 1))[...] = given["N"].reshape(-1, 1)

    def finalize(self):
        pass


class GlassBackend(IsolatedBackend):
    name = "glass"

    def check(self, config, files):
        pass

    def make_instance(self, config, files, place):
        return Glass()
"""

CONFIG = """
backend: "glass" max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true } ]
batch_input [ { kind: BATCH_ELEMENT_COUNT target_name: "N" data_type: TYPE_INT32 source_input: "X" } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "COUNT" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "PID" data_type: TYPE_INT64 dims: [ 1 ] } ]
batch_output [ { target_name: "Y" kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: "X" } ]
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[naiad.Model]:
    package = tmp_path / "package"
    (package / "glass-1.dist-info").mkdir(parents=True)
    (package / "glass.py").write_text(BACKEND)
    (package / "glass-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: glass\nVersion: 1\n"
    )
    (package / "glass-1.dist-info" / "entry_points.txt").write_text(
        "[naiad.backends]\nglass = glass:GlassBackend\n"
    )
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "config.pbtxt").write_text(CONFIG)
    with naiad.Server(tmp_path / "models", pool_bytes=64 << 20) as server:
        yield server.model("m")


def test_what_is_broken_is_replaced(model: naiad.Model) -> None:
    x = np.ones((1, 3), np.float32)
    first = model.infer({"X": x})
    assert first["Y"].tolist() == x.tolist() and first["PID"][0, 0] != os.getpid()
    with pytest.raises(Internal, match="it is broken"):
        model.infer({"X": -x})

    def answers() -> bool:
        try:
            return bool(model.infer({"X": x})["PID"][0, 0] != first["PID"][0, 0])
        except (BackendError, Internal):
            return False

    until(answers)


def test_a_worker_knows_what_is_ragged_and_made_of_the_batch(model: naiad.Model) -> None:
    result = model.infer({"X": np.ones((2, 3), np.float32)})
    assert result["Y"].shape == (2, 3)
    assert result["COUNT"].tolist() == [[6], [6]]
