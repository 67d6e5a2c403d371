"""Files that come with a load: where they go, and where they can not."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument
from naiad.repository.overrides import MAX_DEPTH, MAX_FILES, OverrideFolder

from .fakes import FakeEngine, Make, write

TENSOR = {"data_type": "TYPE_FP32", "dims": [1]}
CONFIG = json.dumps(
    {"backend": "fake", "input": [TENSOR | {"name": "X"}], "output": [TENSOR | {"name": "Y"}]}
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def folders(temporary: Path) -> list[str]:
    return [path.name for path in temporary.iterdir()]


def test_files_lie_below_the_model(temporary: Path) -> None:
    folder = OverrideFolder("m", {"1/a": b"x", "./1//b/c": b"y", "12/a": b"", "config.pbtxt": b"z"})
    assert (folder.path / "m/1/a").read_bytes() == b"x"
    assert (folder.path / "m/1/b/c").read_bytes() == b"y"
    assert folder.directory().versions == (1, 12)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "m/1/a").stat().st_mode & 0o777 == 0o600
    folder.remove()
    folder.remove()
    assert folders(temporary) == []


@pytest.mark.parametrize(
    "path",
    [
        "", "/", ".", "/etc/x", "..", "../x", "1/../x", "1/../../x", "1/", "1/.", "1/a\0b", "1/a\nb",
        "/".join(["d"] * (MAX_DEPTH + 1)), "1/" + "x" * 256, "1/\u202ex",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused(temporary: Path, path: str) -> None:
    with pytest.raises(InvalidArgument, match="should be the path of a file inside of the model"):
        OverrideFolder("m", {"1/good": b"x", path: b"y"})
    assert folders(temporary) == []


@pytest.mark.parametrize("files", [("1/a", "1/./a"), ("1/a", "1/a/b"), ("1/a/b", "1/a")])
def test_files_in_the_place_of_others_are_refused(temporary: Path, files: tuple[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="the same path"):
        OverrideFolder("m", dict.fromkeys(files, b"x"))
    assert folders(temporary) == []


def test_names_and_numbers_are_bounded(temporary: Path) -> None:
    with pytest.raises(InvalidArgument, match="invalid model name"):
        OverrideFolder("../m", {"1/a": b"x"})
    with pytest.raises(InvalidArgument, match="files are given, at most"):
        OverrideFolder("m", {f"1/{i}": b"" for i in range(MAX_FILES + 1)})
    assert folders(temporary) == []


def test_given_files_take_the_place_of_the_repositorys(
    tmp_path: Path, temporary: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path / "models", "a", 1)
    made = repository(model_repositories=(tmp_path / "models",), control_mode="explicit")
    made.load("a")
    made.load("a", CONFIG, {"2/model.fake": b"given"})
    assert made.find("a").version == 2
    assert made.find("a").model.origin == "given"
    assert len(folders(temporary)) == 1
    made.load("a", CONFIG, {"2/model.fake": b"other"})
    assert made.find("a").model.origin == "other"
    assert len(folders(temporary)) == 1  # the earlier ones have gone
    with pytest.raises(InvalidArgument, match="no instance"):
        made.load("a", CONFIG, {"2/model.fake": b"no instance"})
    assert made.find("a").model.origin == "other"
    assert len(folders(temporary)) == 1
    made.load("a")
    assert made.find("a").version == 1
    assert folders(temporary) == []
    assert len(engine.running) == 1


def test_a_model_may_be_of_given_files_alone(tmp_path: Path, temporary: Path, repository: Make) -> None:
    (tmp_path / "models").mkdir()
    made = repository(model_repositories=(tmp_path / "models",), control_mode="explicit")
    made.load("new", CONFIG, {"1/model.fake": b"given"})
    assert made.is_ready("new")
    with pytest.raises(InvalidArgument, match="failed to load 'new'"):
        made.load("new")
    assert made.is_ready("new")
    made.unload("new")
    assert folders(temporary) == []
    made.load("new", CONFIG, {"1/model.fake": b"given"})
    made.close()
    assert folders(temporary) == []


def test_a_reason_does_not_show_the_folder(tmp_path: Path, temporary: Path, repository: Make) -> None:
    (tmp_path / "models").mkdir()
    made = repository(model_repositories=(tmp_path / "models",), control_mode="explicit")
    with pytest.raises(InvalidArgument) as caught:
        made.load("new", CONFIG, {"1/model.fake": b"refused"})
    assert str(caught.value).endswith("the file new/1 is bad")
    assert folders(temporary) == []
