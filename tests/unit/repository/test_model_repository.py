"""Loading, reloading, unloading and looking up, with an engine that remembers."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from naiad.errors import Internal, InvalidArgument, NotFound, NotReady, Stopping
from naiad.repository.model_repository import ModelRepository
from naiad.repository.served import IndexEntry

from .fakes import FakeBackend, FakeEngine, Make, change, write


def rows(repository: ModelRepository, **options: Any) -> list[tuple[str, str, str]]:
    return [(row.name, row.version, row.state) for row in repository.index(**options)]


def test_all_models_are_loaded_and_one_that_fails_leaves_the_others(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "a", 1, 2, config="version_policy { all { } }")
    write(tmp_path, "b", 1, text="refused")
    write(tmp_path, "c", 1)
    made = repository()
    made.load_all()
    assert rows(made) == [
        ("a", "1", "READY"),
        ("a", "2", "READY"),
        ("b", "1", "UNAVAILABLE"),
        ("c", "1", "READY"),
    ]
    assert rows(made, ready_only=True) == [("a", "1", "READY"), ("a", "2", "READY"), ("c", "1", "READY")]
    assert [model.version for model in engine.published["a"]] == [1, 2]
    assert engine.published["b"] == []
    assert not made.all_ready()
    made.unload("b")
    assert made.all_ready()


def test_the_reason_holds_no_place_on_disk(tmp_path: Path, repository: Make) -> None:
    write(tmp_path, "b", 1, text="refused")
    made = repository()
    made.load_all()
    (entry,) = made.index()
    assert entry.reason == "the file b/1 is bad"


def test_exit_on_error_names_all_that_failed(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1, text="refused")
    write(tmp_path, "b", 1)
    write(tmp_path, "c", 1, text="bug")
    with pytest.raises(InvalidArgument, match=r"failed to load all models: a: .*; c: ") as caught:
        repository(exit_on_error=True).load_all()
    assert str(tmp_path) not in str(caught.value)
    assert [model.name for model in engine.running] == ["b"]


def test_directories_that_are_no_models_are_in_the_index(tmp_path: Path, repository: Make) -> None:
    (tmp_path / "bad name").mkdir()
    write(tmp_path, "empty")
    made = repository()
    made.load_all()
    assert rows(made) == [("bad name", "", "UNAVAILABLE"), ("empty", "", "UNAVAILABLE")]
    assert "at least one version" in made.index()[1].reason
    assert not made.all_ready()


def test_explicit_mode_loads_what_is_named(tmp_path: Path, repository: Make) -> None:
    write(tmp_path, "a", 1)
    write(tmp_path, "b", 1)
    made = repository(control_mode="explicit", load_models=("b",))
    made.load_all()
    assert made.index() == [IndexEntry("a", "", "", ""), IndexEntry("b", "1", "READY", "")]
    assert made.all_ready()
    everything = repository(control_mode="explicit", load_models=("*",))
    everything.load_all()
    assert rows(everything) == [("a", "1", "READY"), ("b", "1", "READY")]
    with pytest.raises(InvalidArgument, match="absent"):
        repository(control_mode="explicit", load_models=("absent",), exit_on_error=True).load_all()


def test_looking_up_has_tritons_words(tmp_path: Path, repository: Make) -> None:
    write(tmp_path, "a", 1, 3, config="version_policy { all { } }")
    write(tmp_path, "b", 1)
    made = repository()
    made.load_all()
    assert made.find("a").version == 3
    assert made.find("a", "1").version == 1
    assert made.find("a").versions == [1, 3]
    assert [(loaded.name, loaded.version) for loaded in made.loaded()] == [("a", 1), ("a", 3), ("b", 1)]
    with pytest.raises(NotFound, match="Request for unknown model: 'x' is not found"):
        made.find("x")
    with pytest.raises(NotFound, match="Request for unknown model: 'a' version 2 is not found"):
        made.find("a", "2")
    for wrong in ("x", "-1", "0", "1.0", "9" * 30, "١"):
        with pytest.raises(
            InvalidArgument, match="failed to get model version from specified version string"
        ):
            made.find("a", wrong)
    made.unload("b")
    with pytest.raises(NotFound, match="Request for unknown model: 'b' has no available versions"):
        made.find("b")
    assert made.is_ready("a", "3")
    made.find("a", "3").model.healthy = False  # all its workers are started again
    assert not made.is_ready("a", "3")
    assert made.is_ready("a", "1")
    with pytest.raises(NotFound):
        made.is_ready("b")


def test_a_reload_publishes_before_it_stops_the_old(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    write(tmp_path, "a", 1, 2)
    engine.log.clear()
    made.load("a")
    assert engine.log == [("start", "a/2"), ("publish", "a", "2"), ("stop", "a/1")]
    assert rows(made) == [("a", "1", "UNAVAILABLE"), ("a", "2", "READY")]
    assert made.index()[0].reason == "unloaded"
    assert directory.exists()


def test_what_did_not_change_is_not_loaded_again(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    first = made.find("a").model
    made.load("a")
    assert made.find("a").model is first
    change(directory, 1, "other")
    made.load("a")
    assert made.find("a").model is not first
    assert len(engine.running) == 1


def test_a_given_configuration_counts_once(tmp_path: Path, repository: Make) -> None:
    write(tmp_path, "a", 1)
    made = repository(control_mode="explicit")
    tensor = {"data_type": "TYPE_FP32", "dims": [1]}
    config = json.dumps(
        {
            "backend": "fake",
            "max_batch_size": 8,
            "input": [tensor | {"name": "X"}],
            "output": [tensor | {"name": "Y"}],
        }
    )
    made.load("a", config)
    assert made.find("a").config.max_batch_size == 8
    made.load("a")
    assert made.find("a").config.max_batch_size == 0
    with pytest.raises(InvalidArgument, match="failed to load 'a': 1:2: not JSON"):
        made.load("a", "{")


def test_a_failed_reload_leaves_the_old_version_serving(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    first = made.find("a").model
    for text, kind in (("refused", InvalidArgument), ("no instance", InvalidArgument), ("bug", Internal)):
        change(directory, 1, text)
        with pytest.raises(kind, match="load failed for model 'a': version 1 is at UNAVAILABLE state: "):
            made.load("a")
        assert made.find("a").model is first
        assert rows(made) == [("a", "1", "READY")]
        assert made.all_ready()
    assert engine.running == [first]


def test_versions_load_all_or_none(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    directory = write(tmp_path, "a", 1, 2, config="version_policy { all { } }")
    (directory / "2" / "model.fake").write_text("no instance")
    made = repository(control_mode="explicit")
    with pytest.raises(InvalidArgument, match="version 2 is at UNAVAILABLE state: no instance"):
        made.load("a")
    assert engine.running == []
    assert ("kill", "a/1") in engine.log


def test_unloading_stops_and_is_not_a_failure(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    engine.log.clear()
    made.unload("a")
    made.unload("a")
    assert engine.log == [("publish", "a"), ("stop", "a/1")]
    assert made.index() == [IndexEntry("a", "1", "UNAVAILABLE", "unloaded")]
    assert made.all_ready()
    with pytest.raises(InvalidArgument, match="absent"):
        made.unload("absent")
    with pytest.raises(InvalidArgument, match="failed to load 'absent'"):
        made.load("absent")
    with pytest.raises(InvalidArgument):
        made.load("../a")
    made.load("a")
    assert made.is_ready("a")


def test_states_on_the_way(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1)
    made = repository(control_mode="explicit")
    seen: list[Any] = []

    def look(name: str) -> None:
        seen.append(rows(made))
        assert not made.is_ready(name, "1")
        with pytest.raises(NotReady, match="'a' version 1 is not at ready state"):
            made.find(name, "1")
        assert made.all_ready() == (len(seen) == 2)

    engine.on_start = engine.on_stop = look
    made.load("a")
    made.unload("a")
    assert seen == [[("a", "1", "LOADING")], [("a", "1", "UNLOADING")]]


def test_models_load_at_the_same_time_and_one_model_once_at_a_time(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path, name, 1)
    together = threading.Barrier(3, timeout=30)
    engine.on_start = lambda name: void(together.wait())
    made = repository(load_threads=3)
    made.load_all()
    assert len(engine.running) == 3

    busy = threading.Lock()

    def alone(name: str) -> None:
        assert busy.acquire(blocking=False)
        busy.release()

    engine.on_start = alone
    threads = [threading.Thread(target=made.load, args=("a", None)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine.running) == 3


def void(_: object) -> None:
    return None


def test_closing_stops_everything_and_refuses_more(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    made.close()
    made.close()
    assert engine.running == []
    with pytest.raises(Stopping):
        made.load("a")


@pytest.mark.parametrize("auto_complete", [True, False])
def test_code_of_the_repository_is_not_run_where_it_may_not(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, repository: Make, auto_complete: bool
) -> None:
    """Neither to find out what the model is like nor to load it."""
    touched: list[str] = []
    monkeypatch.setattr(FakeBackend, "runs_code", lambda self, config: True)
    monkeypatch.setattr(FakeBackend, "auto_complete", lambda self, config, files: touched.append("asked"))
    monkeypatch.setattr(FakeBackend, "factory", lambda self, config, files: touched.append("made"))
    write(tmp_path, "a", 1)
    made = repository(runs_code=False, auto_complete=auto_complete)
    made.load_all()
    (entry,) = made.index()
    assert entry.state == "UNAVAILABLE" and "--allow-repository-code=false" in entry.reason
    with pytest.raises(InvalidArgument, match="--allow-repository-code=false"):
        made.load("a", '{"backend": "fake"}', {"1/model.fake": b"ok"})
    assert touched == [] and engine.running == []
