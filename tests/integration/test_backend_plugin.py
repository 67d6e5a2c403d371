"""Backends of other packages and of a backend directory: those in docs/backends.md."""

from __future__ import annotations

import json
import re
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import naiad
from naiad.errors import InvalidArgument

DOCUMENT = Path(__file__).parents[2] / "docs" / "backends.md"
CONFIG = """
backend: "shout" max_batch_size: 4
input [ { name: "S" data_type: TYPE_STRING dims: [ -1 ] } ]
output [ { name: "LOUD" data_type: TYPE_STRING dims: [ -1 ] } ]
"""


def documented(what: str) -> str:
    """The one example that holds this text."""
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (found,) = (example for example in examples if what in example)
    return str(found)


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_models_share_the_file_of_a_backend_directory(isolation: str, tmp_path: Path) -> None:
    backend = tmp_path / "backends" / "scale"
    backend.mkdir(parents=True)
    (backend / "model.py").write_text(documented("factor.json"))
    for name, factor in (("double", 2), ("triple", 3)):
        version = tmp_path / "models" / name / "1"
        version.mkdir(parents=True)
        (version / "factor.json").write_text(json.dumps({"factor": factor}))
        (version.parent / "config.pbtxt").write_text(
            f'backend: "scale" parameters {{ key: "isolation" value {{ string_value: "{isolation}" }} }}'
        )
    options = {"": {"backend-directory": str(tmp_path / "backends")}}
    with naiad.Server(tmp_path / "models", pool_bytes=64 << 20, backend_config=options) as server:
        x = np.ones((2, 3), np.float32)
        assert server.model("double").infer({"X": x})["Y"].tolist() == (2 * x).tolist()
        assert server.model("triple").infer({"X": x})["Y"].tolist() == (3 * x).tolist()


def test_the_documented_backend_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = documented("class ShoutBackend")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "naiad_shout.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    offered = metadata.EntryPoints(
        [metadata.EntryPoint("shout", "naiad_shout:ShoutBackend", "naiad.backends")]
    )
    monkeypatch.setattr(metadata, "entry_points", lambda **select: offered.select(**select))
    repository = tmp_path / "models"
    for name in ("m", "numbers"):
        (repository / name / "1").mkdir(parents=True)
    (repository / "m" / "config.pbtxt").write_text(CONFIG)
    (repository / "numbers" / "config.pbtxt").write_text(CONFIG.replace("TYPE_STRING", "TYPE_INT32"))
    with naiad.Server(repository, pool_bytes=64 << 20) as server:
        result = server.model("m").infer({"S": np.array([["a", "bc"]], dtype=np.object_)})
        assert result["LOUD"].tolist() == [[b"A", b"BC"]]
        with pytest.raises(InvalidArgument, match="input 'S' is INT32, expected BYTES"):
            server.model("numbers").infer({"S": np.ones((1, 1), np.int32)})
    assert isinstance(sys.modules.pop("naiad_shout"), types.ModuleType)
