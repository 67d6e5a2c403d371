"""Models of equal names in several repositories: who is meant by a name, and who by a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument, NotFound
from naiad.repository.model_repository import ModelRepository
from naiad.repository.namespaces import key_of, namespace_of, public_name
from naiad.repository.roots import Roots
from naiad.repository.scan import scan
from naiad.settings import RepositorySettings

from .fakes import FakeEngine, write

CONFIG = '{"backend": "fake", "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [1]}], "output": []}'
AMBIGUOUS = (
    "There are 2 identifiers of model 'twin' in global map, model namespace must be provided to resolve "
    "ambiguity."
)
Make = Callable[..., ModelRepository]


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Both have ``twin``, each one of its own."""
    one, two = tmp_path / "one", tmp_path / "two"
    for root, own in ((one, "left"), (two, "right")):
        write(root, "twin", 1)
        write(root, own, 1)
    return one, two


@pytest.fixture
def made(roots: tuple[Path, Path], repository: Make) -> ModelRepository:
    return repository(model_repositories=roots, namespacing=True, control_mode="explicit")


def names(repository: ModelRepository) -> list[tuple[str, str]]:
    return [(row.name, row.state) for row in repository.index()]


def test_keys() -> None:
    assert key_of("2", "m") == "2::m" and key_of("", "m") == "m"
    assert public_name("2::m") == public_name("m") == "m"
    assert (namespace_of("2::m"), namespace_of("m")) == ("2", "")


def test_without_namespacing_none_of_the_two_is_taken(roots: tuple[Path, Path], repository: Make) -> None:
    plain = repository(model_repositories=roots)
    plain.load_all()
    assert names(plain) == [("left", "READY"), ("right", "READY"), ("twin", "UNAVAILABLE")]
    with pytest.raises(InvalidArgument, match="is in more than one model repository"):
        plain.load("twin")
    with pytest.raises(InvalidArgument, match="invalid model name '1::twin'"):
        plain.load("1::twin")


def test_a_name_is_published_where_one_model_bears_it(made: ModelRepository, engine: FakeEngine) -> None:
    made.load("left")
    assert [model.name for model in engine.published["left"]] == ["left"]
    assert engine.published["left"] == engine.published["1::left"]
    assert made.find("left").key == made.find("1::left").key == "1::left"
    made.load("2::twin")
    assert engine.published["twin"] == engine.published["2::twin"] != []
    made.load("1::twin")
    assert engine.published["twin"] == []
    assert ("ambiguous", "twin", "2") in engine.log
    with pytest.raises(InvalidArgument) as refused:
        made.find("twin")
    assert str(refused.value) == AMBIGUOUS
    made.unload("2::twin")
    assert engine.published["twin"] == engine.published["1::twin"] != []
    assert made.find("twin").key == "1::twin"
    made.unload("1::twin")
    assert engine.published["twin"] == []


def test_a_name_is_taken_off_before_its_model_ends(made: ModelRepository, engine: FakeEngine) -> None:
    made.load("left")
    engine.on_stop = lambda name: engine.log.append(("seen", str(engine.published["left"])))
    made.unload("left")
    assert ("seen", "[]") in engine.log


def test_loading_and_unloading_a_name_means_all_that_bear_it(
    made: ModelRepository, engine: FakeEngine
) -> None:
    made.load("twin")
    assert names(made) == [("left", ""), ("twin", "READY"), ("right", ""), ("twin", "READY")]
    made.unload("twin")
    assert engine.running == []
    assert names(made) == [("left", ""), ("twin", "UNAVAILABLE"), ("right", ""), ("twin", "UNAVAILABLE")]
    with pytest.raises(NotFound, match="'twin' has no available versions"):
        made.find("twin")
    with pytest.raises(NotFound, match="'nobody' is not found"):
        made.find("nobody")
    with pytest.raises(InvalidArgument, match="'nobody' is not in the model repository"):
        made.load("nobody")
    with pytest.raises(InvalidArgument, match="'nobody' is not in the model repository"):
        made.unload("nobody")
    with pytest.raises(InvalidArgument, match="'3::twin' is not in the model repository"):
        made.load("3::twin")


def test_one_that_fails_leaves_the_other(
    roots: tuple[Path, Path], made: ModelRepository, engine: FakeEngine
) -> None:
    (roots[0] / "twin" / "1" / "model.fake").write_text("refused")
    with pytest.raises(InvalidArgument, match="load failed for model '1::twin'"):
        made.load("twin")
    assert made.find("twin").key == "2::twin"


def test_a_configuration_is_for_one_model(made: ModelRepository) -> None:
    with pytest.raises(InvalidArgument, match="There are 2 identifiers of model 'twin'"):
        made.load("twin", CONFIG)
    made.load("2::twin", CONFIG)
    assert made.find("twin").key == "2::twin"


def test_files_that_come_with_a_load(made: ModelRepository) -> None:
    made.load("brought", CONFIG, {"1/model.fake": b"ok"})
    assert made.find("brought").key == "0::brought"
    made.load("left", CONFIG, {"1/model.fake": b"ok"})
    assert made.find("left").key == "1::left"
    with pytest.raises(InvalidArgument, match="There are 2 identifiers of model 'twin'"):
        made.load("twin", CONFIG, {"1/model.fake": b"ok"})


def test_all_are_loaded_at_start(roots: tuple[Path, Path], repository: Make, engine: FakeEngine) -> None:
    made = repository(model_repositories=roots, namespacing=True)
    made.load_all()
    assert names(made) == [("left", "READY"), ("twin", "READY"), ("right", "READY"), ("twin", "READY")]
    assert made.all_ready()
    assert {served.namespace for served in made.loaded() if served.name == "twin"} == {"1", "2"}
    chosen = repository(
        model_repositories=roots, namespacing=True, control_mode="explicit", load_models=("twin",)
    )
    chosen.load_all()
    assert [(served.key) for served in chosen.loaded()] == ["1::twin", "2::twin"]


def test_a_step_is_of_the_ensemble_s_own_repository_or_the_only_one(roots: tuple[Path, Path]) -> None:
    named = Roots(RepositorySettings(roots, namespacing=True))
    assert named.step_key("1::over", "twin") == "1::twin"
    assert named.step_key("2::over", "twin") == "2::twin"
    assert named.step_key("1::over", "right") == "2::right"
    with pytest.raises(NotFound, match="'nobody' is not found"):
        named.step_key("1::over", "nobody")
    with pytest.raises(InvalidArgument, match="There are 2 identifiers of model 'twin'"):
        named.step_key("0::over", "twin")
    assert Roots(RepositorySettings(roots)).step_key("over", "twin") == "twin"


def test_scan(roots: tuple[Path, Path]) -> None:
    (roots[1] / "bad name").mkdir()
    found = scan(roots, namespacing=True)
    assert list(found.models) == ["1::left", "1::twin", "2::right", "2::twin"]
    assert list(found.refused) == ["2::bad name"]
    assert found.models["2::twin"].path == roots[1] / "twin"
