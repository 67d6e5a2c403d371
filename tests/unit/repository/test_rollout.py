"""Labels, splits and shadows: what is taken, and what becomes of it when a model changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naiad.errors import InvalidArgument, NotFound
from naiad.repository.rollout import rollout_from_json

from .fakes import FakeEngine, Make, change, write

ALL = "version_policy { all { } } "
LABELS = 'parameters { key: "version_labels" value { string_value: "stable=1, canary=2" } } '


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }} '


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label": {}}, "a rollout has no 'label'"),
        ({"labels": []}, "'labels' should be an object"),
        ({"labels": {"1a": 1}}, "should be a letter"),
        ({"labels": {"": 1}}, "should be a letter"),
        ({"labels": {"a" * 65: 1}}, "should be a letter"),
        ({"labels": {"a/b": 1}}, "should be a letter"),
        ({"labels": {"a": 0}}, "a version > 0"),
        ({"labels": {"a": True}}, "integers"),
        ({"labels": {"a": "1"}}, "integers"),
        ({"labels": {f"l{i}": 1 for i in range(65)}}, "at most 64"),
        ({"split": {"1": -1}}, "weights"),
        ({"split": {"1": 1_000_001}}, "weights"),
        ({"split": {"1": 0}}, "above 0"),
        ({"shadow": "canary"}, "'shadow' should be"),
        ({"shadow": {"version": 1.5}}, "'version' of 'shadow'"),
        ({"shadow": {"version": "1", "percent": 0}}, "'percent'"),
        ({"shadow": {"version": "1", "percent": 101}}, "'percent'"),
        ({"shadow": {"version": "1", "more": 1}}, "'shadow' should be"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        rollout_from_json(given)


def test_json_goes_there_and_back() -> None:
    given = {
        "labels": {"stable": 1, "canary": 3},
        "split": {"stable": 95, "3": 5},
        "shadow": {"version": "canary", "percent": 10},
    }
    rollout = rollout_from_json(given)
    assert rollout.to_json() == given
    assert rollout_from_json(rollout.to_json()) == rollout
    assert not rollout_from_json({})
    rollout.routes([1, 2, 3], "m")
    with pytest.raises(InvalidArgument, match="label 'canary' of model 'm' names version 3"):
        rollout.routes([1, 2], "m")
    with pytest.raises(InvalidArgument, match="names version 'x', which is not served"):
        rollout_from_json({"split": {"x": 1}}).routes([1], "m")


def test_a_configuration_gives_labels(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1, 2, config=ALL + LABELS + parameter("version_split", "stable=9,canary=1"))
    made = repository()
    made.load_all()
    assert made.find("a", "stable").version == 1
    assert made.find("a", "canary").version == 2
    assert made.find("a").version == 2
    assert made.has_labels("a") and not made.has_labels("b")
    assert engine.routes["a"] is not None
    assert made.rollout("a")["split"] == {"stable": 9, "canary": 1}
    with pytest.raises(NotFound, match="no version with the label 'nightly'"):
        made.find("a", "nightly")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (parameter("version_labels", "stable"), "version_labels' should be NAME=NUMBER"),
        (parameter("version_labels", "a=1,a=2"), "names 'a' twice"),
        (parameter("version_labels", "stable=9"), "names version 9, which is not served"),
        (parameter("version_shadow", "nightly"), "names version 'nightly'"),
        (parameter("version_shadow", "1=200"), "'percent'"),
    ],
)
def test_a_configuration_that_is_wrong_fails_the_load(
    tmp_path: Path, engine: FakeEngine, repository: Make, config: str, words: str
) -> None:
    write(tmp_path, "a", 1, config=config)
    made = repository(control_mode="explicit")
    with pytest.raises(InvalidArgument, match=words):
        made.load("a")
    assert engine.running == []


def test_requests_are_spread_anew_and_as_before(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "a", 1, 2, config=ALL + LABELS)
    made = repository()
    made.load_all()
    running = list(engine.running)
    with pytest.raises(InvalidArgument, match="nothing to undo"):
        made.roll_back("a")
    made.set_rollout("a", {"labels": {"stable": 2}, "split": {"2": 1}})
    assert made.find("a", "stable").version == 2
    with pytest.raises(InvalidArgument, match="version 7, which is not served"):
        made.set_rollout("a", {"labels": {"stable": 7}})
    assert made.find("a", "stable").version == 2
    made.roll_back("a")
    assert made.find("a", "stable").version == 1
    assert engine.running == running  # nothing was loaded or stopped
    with pytest.raises(NotFound):
        made.rollout("absent")


def test_what_clients_have_set_stays_until_the_configuration_changes(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1, 2, config=ALL + LABELS)
    made = repository()
    made.load_all()
    made.set_rollout("a", {"labels": {"stable": 2}})
    change(directory, 1, "other")
    made.load("a")
    assert made.find("a", "stable").version == 2
    write(tmp_path, "a", 1, 2, config=ALL + parameter("version_labels", "stable=1"))
    made.load("a")
    assert made.rollout("a")["labels"] == {"stable": 1}
    made.set_rollout("a", {"labels": {"stable": 2}})
    write(
        tmp_path,
        "a",
        1,
        2,
        config=parameter("version_labels", "stable=1") + "version_policy { specific { versions: 1 } }",
    )
    with pytest.raises(InvalidArgument, match="names version 2, which is not served"):
        made.load("a")
    assert made.find("a", "stable").version == 2
    made.roll_back("a")
    made.load("a")
    assert made.find("a").versions == [1]
    made.unload("a")
    assert not made.has_labels("a")
