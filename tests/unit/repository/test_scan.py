"""Model directories: which are seen, which are refused, and that nothing outside of a repository is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.errors import AlreadyExists, ConfigError, InvalidArgument, NotFound
from naiad.repository.scan import check_model_name, find_model, read_model, scan


def make(root: Path, name: str, *versions: str, config: str | None = None) -> Path:
    model = root / name
    for version in versions:
        (model / version).mkdir(parents=True)
        (model / version / "model.py").touch()
    model.mkdir(exist_ok=True)
    if config is not None:
        (model / "config.pbtxt").write_text(config)
    return model


def test_models_of_several_repositories_by_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    make(one, "b", "1")
    make(two, "a", "3", "10", "1")
    make(two, "empty")
    result = scan([one, two])
    assert list(result.models) == ["a", "b", "empty"]
    assert result.refused == {}
    assert result.models["a"].versions == (1, 3, 10)
    assert result.models["a"].version_path(10) == two / "a" / "10"
    assert result.models["empty"].versions == ()
    assert result.models["empty"].filenames() == ()


def test_what_is_not_a_version_is_passed_over(tmp_path: Path) -> None:
    model = make(tmp_path, "m", "1", "01", "0", "-1", "v2", "2.0", "1" * 30, "٣", "configs")
    (model / "7").touch()
    assert read_model(tmp_path, "m").versions == (1,)


def test_what_is_not_a_model_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, ".git", "1")
    (tmp_path / "README.md").touch()
    assert scan([tmp_path]).models == {}
    assert scan([tmp_path]).refused == {}


def test_the_files_of_the_lowest_version(tmp_path: Path) -> None:
    model = make(tmp_path, "m", "2", "10")
    (model / "2" / "model.onnx").touch()
    assert read_model(tmp_path, "m").filenames() == ("model.onnx", "model.py")


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "0", "_x", "a" * 128])
def test_names_that_can_be_models(name: str) -> None:
    check_model_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "a\0", "ü", "a" * 129, "../a", "a%2f"]
)
def test_names_that_can_not(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid model name"):
        check_model_name(name)


def test_a_bad_name_refuses_one_directory_only(tmp_path: Path) -> None:
    make(tmp_path, "good", "1")
    make(tmp_path, "not good", "1")
    result = scan([tmp_path])
    assert list(result.models) == ["good"]
    assert list(result.refused) == ["not good"]
    assert "invalid model name 'not good'" in str(result.refused["not good"])


def test_a_name_in_two_repositories_is_in_none(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for root in roots:
        make(root, "m", "1")
    make(roots[0], "other", "1")
    result = scan(roots)
    assert list(result.models) == ["other"]
    assert isinstance(result.refused["m"], AlreadyExists)
    assert str(result.refused["m"]) == "model 'm' is in more than one model repository"
    with pytest.raises(AlreadyExists, match="model 'm' is in more than one"):
        find_model(roots, "m")


def test_one_repository_named_twice_is_one(tmp_path: Path) -> None:
    make(tmp_path / "one", "m", "1")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    roots = [tmp_path / "one", tmp_path / "link", tmp_path / "one" / ".." / "one"]
    assert list(scan(roots).models) == ["m"]
    assert find_model(roots, "m").versions == (1,)


def test_a_repository_that_is_missing_is_an_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="^model repository 2 is not a directory$"):
        scan([tmp_path, tmp_path / "missing"])


def test_find_model(tmp_path: Path) -> None:
    make(tmp_path, "m", "1")
    assert find_model([tmp_path], "m") == scan([tmp_path]).models["m"]
    with pytest.raises(NotFound, match="model 'other' is not in the model repository"):
        find_model([tmp_path], "other")
    with pytest.raises(InvalidArgument, match="invalid model name"):
        find_model([tmp_path], "../m")


def test_a_model_that_links_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "outside", "m", "1")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "m").symlink_to(tmp_path / "outside" / "m")
    result = scan([root])
    assert result.models == {}
    assert str(result.refused["m"]) == "model 'm' is a link that leads out of its model repository"


def test_a_version_that_links_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "outside", "m", "1")
    model = make(tmp_path / "repository", "m", "1")
    (model / "2").symlink_to(tmp_path / "outside" / "m" / "1")
    with pytest.raises(InvalidArgument, match="version 2 of model 'm' is a link that leads out"):
        read_model(tmp_path / "repository", "m")


def test_links_inside_of_the_repository_are_followed(tmp_path: Path) -> None:
    model = make(tmp_path, "m", "1")
    (model / "2").symlink_to(model / "1")
    (tmp_path / "alias").symlink_to(model)
    assert find_model([tmp_path], "alias").versions == (1, 2)


def test_files_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    root = tmp_path / "repository"
    model = make(root, "m", "1")
    (model / "link").symlink_to(tmp_path / "secret")
    found = read_model(root, "m")
    assert found.file("1/model.py") == model / "1" / "model.py"
    assert found.file("not-there") == model / "not-there"
    for name in ("link", "../../secret", str(tmp_path / "secret"), "", "a\0b"):
        with pytest.raises(InvalidArgument, match="is outside of the model directory"):
            found.file(name)


def test_reading_the_configuration(tmp_path: Path) -> None:
    make(tmp_path, "m", "1", config='backend: "python"\nbad')
    make(tmp_path, "n", "1")
    make(tmp_path, "ok", "1", config='backend: "python"')
    make(tmp_path, "folder", "1").joinpath("config.pbtxt").mkdir()
    models = scan([tmp_path]).models
    assert models["n"].read_config() is None
    config = models["ok"].read_config()
    assert config is not None
    assert config.backend == "python"
    with pytest.raises(ConfigError, match=r"^m/config\.pbtxt:2:1: "):
        models["m"].read_config()
    with pytest.raises(ConfigError, match=r"^folder/config\.pbtxt: can not be read: Is a directory$"):
        models["folder"].read_config()
