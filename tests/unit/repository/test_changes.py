"""What of a model is loaded again when something about it changes, and what goes on as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument

from .fakes import FakeEngine, Make, change, write

ALL = "version_policy { all { } } "
THREE = "instance_group [ { kind: KIND_CPU count: 3 } ]"


def test_a_new_version_leaves_the_others_running(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "a", 1, config=ALL)
    made = repository()
    made.load_all()
    engine.log.clear()
    write(tmp_path, "a", 2, config=ALL)
    made.load("a")
    assert engine.log == [("start", "a/2"), ("publish", "a", "1", "2")]
    assert made.find("a").versions == made.find("a", "1").versions == [1, 2]


def test_a_version_that_goes_ends_alone(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1, 2, config=ALL)
    made = repository()
    made.load_all()
    engine.log.clear()
    write(tmp_path, "a", config="version_policy { specific { versions: 2 } }")
    made.load("a")
    assert engine.log == [("publish", "a", "2"), ("stop", "a/1")]


def test_what_changes_in_one_version_is_of_that_alone(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1, 2, config=ALL)
    made = repository()
    made.load_all()
    engine.log.clear()
    change(directory, 2, "new")
    made.load("a")
    assert engine.log == [("start", "a/2"), ("publish", "a", "1", "2"), ("stop", "a/2")]
    engine.log.clear()
    (directory / "labels.txt").write_text("shared by all versions")
    made.load("a")
    assert [entry[0] for entry in engine.log] == ["start", "start", "publish", "stop", "stop"]


def test_a_changed_count_is_applied_in_place(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    model = made.find("a").model
    engine.log.clear()
    write(tmp_path, "a", config=THREE)
    made.load("a")
    assert engine.log == [("resize", "a/1", "3"), ("publish", "a", "1")]
    assert made.find("a").model is model
    assert made.find("a").config.instance_groups[0].count == 3


def test_a_model_made_for_its_instances_is_loaded_again(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    engine.log.clear()
    engine.fixed_instances = True
    write(tmp_path, "a", config=THREE)
    made.load("a")
    assert engine.log == [("start", "a/1"), ("publish", "a", "1"), ("stop", "a/1")]


def test_an_instance_that_can_not_be_made_leaves_all_as_it_was(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    before = made.find("a")
    text = directory / "1" / "model.fake"
    times = (text.stat().st_atime_ns, text.stat().st_mtime_ns)
    text.write_text("no")  # of the same size and time: as if only the load failed
    os.utime(text, ns=times)
    write(tmp_path, "a", config=THREE)
    engine.log.clear()
    engine.resize = fail  # type: ignore[method-assign]
    with pytest.raises(InvalidArgument, match="no memory"):
        made.load("a")
    assert engine.log == []
    assert made.find("a") is before


def fail(*_: object) -> None:
    raise InvalidArgument("no memory")


def test_another_configuration_is_another_model(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1)
    made = repository()
    made.load_all()
    engine.log.clear()
    write(tmp_path, "a", config="max_batch_size: 4 " + THREE)
    made.load("a")
    assert engine.log == [("start", "a/1"), ("publish", "a", "1"), ("stop", "a/1")]


def test_a_load_that_fails_is_tried_again(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1)
    tries: list[str] = []

    def fail_twice(name: str) -> None:
        tries.append(name)
        if len(tries) < 3:
            raise InvalidArgument("not yet")

    engine.on_start = fail_twice
    made = repository(control_mode="explicit", load_retries=1)
    with pytest.raises(InvalidArgument, match="not yet"):
        made.load("a")
    assert len(tries) == 2
    made.load("a")
    assert len(tries) == 3 and made.is_ready("a")


def test_a_named_configuration_is_taken_where_there_is_one(tmp_path: Path, repository: Make) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, 1)
    (tmp_path / "a" / "configs").mkdir()
    text = (tmp_path / "a" / "config.pbtxt").read_text()
    (tmp_path / "a" / "configs" / "big.pbtxt").write_text(text + " max_batch_size: 64")
    made = repository(config_name="big")
    made.load_all()
    assert made.find("a").config.max_batch_size == 64
    assert made.find("b").config.max_batch_size == 0
