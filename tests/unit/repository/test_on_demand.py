"""Models that are loaded with their first request, on an engine that remembers."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from naiad.errors import InvalidArgument, NotFound
from naiad.repository.on_demand import OnDemand
from naiad.repository.served import IndexEntry
from naiad.settings import CPU

from .fakes import FakeEngine, Make, write

MB = 10**6
WAITS = IndexEntry("m", "", "UNAVAILABLE", "loads with its first request")


class Parked:
    """Gives what is put, and keeps what is answered."""

    def __init__(self) -> None:
        self.wanted: queue.Queue[str | None] = queue.Queue()
        self.answers: queue.Queue[tuple[str, str | None]] = queue.Queue()
        self.allowed: queue.Queue[set[str]] = queue.Queue()

    def allow(self, names: set[str]) -> None:
        self.allowed.put(names)

    def take(self) -> str | None:
        name = self.wanted.get(timeout=60)
        if name is None:
            self.wanted.put(None)
        return name

    def answer(self, name: str, failure: str | None = None) -> None:
        self.answers.put((name, failure))

    def close(self) -> None:
        self.wanted.put(None)

    @property
    def num_parked(self) -> int:
        return self.wanted.qsize()


def test_what_requests_wait_for_is_loaded_and_answered(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "m", 1)
    write(tmp_path, "bad", 1, text="refused")
    write(tmp_path, "bug", 1, text="bug")
    parked = Parked()
    demand = OnDemand(parked, repository(control_mode="ondemand"), load_threads=2, poll_s=0.01)
    demand.start()
    assert parked.allowed.get(timeout=60) == {"m", "bad", "bug"}
    for name in ("m", "bad", "bug", "gone"):
        parked.wanted.put(name)
    answers = dict(parked.answers.get(timeout=60) for _ in range(4))
    assert answers["m"] is None
    assert "the file bad/1 is bad" in (answers["bad"] or "")
    assert "ZeroDivisionError" in (answers["bug"] or "")
    assert "'gone' is not in the model repository" in (answers["gone"] or "")
    write(tmp_path, "new", 1)
    while parked.allowed.get(timeout=60) != {"m", "bad", "bug", "new"}:
        pass
    demand.stop()
    demand.stop()
    assert [model.name for model in engine.running] == ["m"]


def test_a_model_waits_for_its_first_request_and_is_taken_for_ready(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    write(tmp_path, "m", 1, 3)
    models = repository(control_mode="ondemand")
    models.load_all()
    assert not engine.running
    models.summonable()
    assert models.index() == [WAITS]
    assert models.is_ready("m") and models.is_ready("m", "3")
    assert not models.is_ready("m", "2")
    assert models.all_ready()
    assert models.must_summon("m") and not models.must_summon("other")
    with pytest.raises(NotFound):
        models.is_ready("other")
    models.summon("m")
    assert [row.state for row in models.index()] == ["READY"]
    assert not models.must_summon("m")
    models.summon("m")
    assert len(engine.running) == 1
    models.unload("m")
    assert models.index() == [WAITS]
    assert models.must_summon("m")


def test_a_model_that_fails_on_demand_is_not_missed(tmp_path: Path, repository: Make) -> None:
    write(tmp_path, "m", 1, text="refused")
    models = repository(control_mode="ondemand")
    models.summonable()
    with pytest.raises(InvalidArgument, match="is bad"):
        models.summon("m")
    assert models.all_ready()
    assert models.index()[0].state == "UNAVAILABLE"
    assert "is bad" in models.index()[0].reason


def test_the_least_recently_used_goes_and_what_was_asked_for_stays(
    tmp_path: Path, engine: FakeEngine, repository: Make
) -> None:
    for name in ("pinned", "b", "c", "d"):
        write(tmp_path, name, 1, text="ok")
    # The models of a fake take nothing: what they took is said here.
    models = repository(control_mode="ondemand", load_models=("pinned",), memory_limit_bytes=230 * MB)
    models.load_all()
    models.summonable()
    for entry in models.entries():
        assert entry.is_fixed
    models.summon("b")
    for name in ("pinned", "b"):
        claim = models.find(name).claim
        assert claim is not None
        models.budget.settle(claim, {CPU: 100 * MB})
    models.summon("c")
    assert sorted(model.name for model in engine.running) == ["c", "pinned"]
    assert models.index()[0] == IndexEntry("b", "", "UNAVAILABLE", "loads with its first request")
    claim = models.find("c").claim
    assert claim is not None
    models.budget.settle(claim, {CPU: 100 * MB})
    models.load("c")  # from now on it is wanted
    with pytest.raises(InvalidArgument, match="no room for model 'd'"):
        models.summon("d")
    assert sorted(model.name for model in engine.running) == ["c", "pinned"]


def test_many_who_summon_one_model_load_it_once(tmp_path: Path, engine: FakeEngine, repository: Make) -> None:
    write(tmp_path, "m", 1)
    models = repository(control_mode="ondemand")
    models.summonable()
    threads = [threading.Thread(target=models.summon, args=("m",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine.running) == 1
    assert models.entries()[0].num_loads == 1
