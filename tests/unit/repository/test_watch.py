"""Poll mode: a model is taken when it holds still."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument, NotFound, Unavailable
from naiad.repository.fingerprint import Fingerprint, fingerprint
from naiad.repository.watch import RepositoryWatch, has_writer

from .fakes import FakeEngine, Make, change, write


@dataclass
class FakeLoads:
    """Remembers what was tried."""

    log: list[tuple[str, str]] = field(default_factory=list)
    last: dict[str, Fingerprint] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    fails: bool = False

    def load_if_still(self, name: str, seen: Fingerprint) -> None:
        self.log.append(("load", name))
        self.last[name] = seen
        self.asked.add(name)
        if self.fails:
            raise InvalidArgument("broken")

    def unload(self, name: str) -> None:
        self.log.append(("unload", name))
        self.last.pop(name, None)
        self.asked.discard(name)

    def tried(self, name: str) -> Fingerprint | None:
        return self.last.get(name)

    def wanted(self) -> list[str]:
        return sorted(self.asked)


@pytest.fixture
def loads() -> FakeLoads:
    return FakeLoads()


@pytest.fixture
def watch(tmp_path: Path, loads: FakeLoads) -> RepositoryWatch:
    return RepositoryWatch(loads, (tmp_path,), poll_s=60, load_threads=1, settle_s=0)


def test_a_model_is_taken_at_the_second_look(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    assert watch.begin() == frozenset()
    write(tmp_path, "a", 1)
    assert watch.look()
    assert loads.log == []
    assert not watch.look()
    assert loads.log == [("load", "a")]
    assert not watch.look()
    assert loads.log == [("load", "a")]


def test_what_goes_on_changing_waits(tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch) -> None:
    directory = write(tmp_path, "a", 1)
    for size in range(3):
        assert watch.look()
        (directory / "1" / f"part{size}").write_text("x")
    assert watch.look() and loads.log == []
    assert not watch.look() and loads.log == [("load", "a")]
    change(directory, 1, "other")
    assert watch.look() and len(loads.log) == 1
    assert not watch.look() and len(loads.log) == 2


def test_times_that_are_set_back_do_not_hide_a_change(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    directory = write(tmp_path, "a", 1)
    watch.look()
    file = directory / "1" / "model.fake"
    before = file.stat()
    file.write_text("KO")  # as long as "ok"
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint(directory, None)[1]  # which can not tell
    assert watch.look() and loads.log == []
    watch.look()
    assert loads.log == [("load", "a")]


def test_a_file_that_is_open_for_writing_waits(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    directory = write(tmp_path, "a", 1)
    file = directory / "1" / "model.fake"
    if not _tells_writers(file):
        pytest.skip("this file system does not tell who writes")
    with file.open("ab"):
        assert watch.begin() == {"a"}
        assert watch.look() and watch.look() and loads.log == []
    assert watch.look() in (True, False)
    watch.look()
    assert loads.log == [("load", "a")]


def _tells_writers(file: Path) -> bool:
    with file.open("ab"):
        return has_writer(str(file))


def test_who_reads_does_not_count_as_a_writer(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with file.open("rb"):
        assert not has_writer(str(file))
    assert not has_writer(str(tmp_path / "absent"))


def test_what_is_gone_for_two_looks_is_unloaded(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    directory = write(tmp_path, "a", 1)
    watch.look()
    watch.look()
    moved = directory.rename(tmp_path.parent / "moved-away")
    assert watch.look() and ("unload", "a") not in loads.log
    moved.rename(directory)  # as who puts a new one in its place
    watch.look()
    assert ("unload", "a") not in loads.log
    moved = directory.rename(tmp_path.parent / "moved-away")
    watch.look()
    assert not watch.look()
    assert loads.log[-1] == ("unload", "a")


def test_a_repository_that_is_away_unloads_nothing(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    write(tmp_path, "a", 1)
    watch.look()
    watch.look()
    away = tmp_path.rename(tmp_path.parent / "away")
    for _ in range(3):
        assert not watch.look()
    away.rename(tmp_path)
    watch.look()
    watch.look()
    assert loads.log == [("load", "a")]
    with pytest.raises(NotFound):
        RepositoryWatch(loads, (tmp_path / "absent",), poll_s=1).begin()


def test_a_load_that_fails_is_not_tried_again_before_something_changes(
    tmp_path: Path, loads: FakeLoads, watch: RepositoryWatch
) -> None:
    directory = write(tmp_path, "a", 1)
    (tmp_path / "bad name").mkdir()
    loads.fails = True
    for _ in range(4):
        watch.look()
    assert loads.log == [("load", "a")]
    change(directory, 1, "other")
    for _ in range(4):
        watch.look()
    assert loads.log == [("load", "a")] * 2


def test_the_refresh_is_told_what_to_take(tmp_path: Path, loads: FakeLoads) -> None:
    asked: list[bool] = []

    def refresh(settled: bool) -> None:
        asked.append(settled)
        if len(asked) == 3:
            raise Unavailable("away")

    watch = RepositoryWatch(loads, (tmp_path,), poll_s=60, refresh=refresh, settle_s=0)
    watch.begin()
    watch.look()
    assert not watch.look()
    assert asked == [False, True, True]


def test_an_event_brings_the_next_look(tmp_path: Path, loads: FakeLoads) -> None:
    changes: list[Callable[[], None]] = []
    listening = threading.Event()

    def listen(roots: Sequence[Path], changed: Callable[[], None], stopped: threading.Event) -> None:
        assert roots == (tmp_path,)
        changes.append(changed)
        listening.set()
        stopped.wait()

    loaded = threading.Event()
    watch = RepositoryWatch(loads, (tmp_path,), poll_s=3600, listen=listen, settle_s=0.01)
    watch.begin()
    before = loads.load_if_still

    def load(name: str, seen: Fingerprint) -> None:
        before(name, seen)
        loaded.set()

    loads.load_if_still = load  # type: ignore[method-assign]
    watch.start()
    try:
        assert listening.wait(30)
        write(tmp_path, "a", 1)
        changes[0]()
        assert loaded.wait(30)
    finally:
        watch.stop()
        watch.stop()


def test_what_changes_while_it_is_loaded_is_not_served(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    directory = write(tmp_path, "a", 1)
    made = repository(control_mode="poll")
    made.load_all()
    first = made.find("a").model
    change(directory, 1, "half")
    seen = fingerprint(directory, None)
    engine.on_start = lambda name: change(directory, 1, "whole")
    with pytest.raises(InvalidArgument, match="changed while it was loaded"):
        made.load_if_still("a", seen)
    assert made.find("a").model is first
    assert engine.running == [first]
    engine.on_start = lambda name: None
    made.load_if_still("a", fingerprint(directory, None))
    assert made.find("a").model.origin == "whole"
    change(directory, 1, "more")
    with pytest.raises(InvalidArgument, match="changed while it was loaded"):
        made.load_if_still("a", seen)
