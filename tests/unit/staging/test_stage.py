"""A repository of links."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.errors import InvalidArgument
from naiad.repository.scan import find_model, scan
from naiad.staging.found import FoundModel
from naiad.staging.stage import StagedRepository
from naiad.staging.unservable import Unservable


def describe(model: FoundModel) -> str:
    return f"# {model.name}\n"


def test_it_is_removed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    file.write_bytes(b"x")
    folder = tmp_path / "m/1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"y")
    with StagedRepository(describe) as staged:
        staged.add([file, tmp_path / "m"])
        root = staged.directory
        assert root is not None and root.stat().st_mode & 0o077 == 0
        assert (root / "a/1/model.onnx").read_bytes() == b"x"
        found = scan([root], linked=root)
        assert list(found.models) == ["a", "m"] and not found.refused
        assert find_model([root], "m", linked=root).filenames() == ("model.onnx",)
        with pytest.raises(InvalidArgument, match="leads out"):
            find_model([root], "m")
    assert not root.exists() and file.exists() and (folder / "model.onnx").exists()


def test_a_repository_is_not_staged(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    with StagedRepository(describe) as staged:
        staged.add([tmp_path])
        assert staged.directory is None and staged.repositories == [tmp_path]


def test_two_models_of_one_name(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.onnx").write_bytes(b"x")
    with StagedRepository(describe) as staged, pytest.raises(Unservable, match="both be served as 'net'"):
        staged.add([tmp_path / "x/net.onnx", tmp_path / "y/net.onnx"])
