"""Who has to go when memory is short."""

from __future__ import annotations

from typing import Any

from naiad.repository.entry import ModelEntry
from naiad.repository.eviction import Evictor, Resident, choose
from naiad.repository.memory_budget import MemoryBudget
from naiad.repository.served import LoadedVersion
from naiad.repository.serving import Serving
from naiad.settings import CPU

from .fakes import FakeEngine, FakeModel


def test_the_least_recently_used_goes_first_and_no_more_than_needed() -> None:
    residents = [Resident("a", 5, 30.0), Resident("b", 5, 10.0), Resident("c", 5, 20.0)]
    assert choose(residents, 1) == ["b"]
    assert choose(residents, 6) == ["b", "c"]
    assert choose(residents, 15) == ["b", "c", "a"]


def test_nobody_goes_when_that_is_not_enough() -> None:
    assert choose([Resident("a", 5, 1.0), Resident("b", 5, 2.0, is_fixed=True)], 6) == []
    assert choose([], 1) == []


def test_an_ensemble_goes_before_its_steps_and_only_with_one_of_them() -> None:
    steps = [Resident("s", 5, 1.0), Resident("t", 5, 2.0)]
    ensemble = Resident("e", 0, 3.0, steps=("s", "t"))
    assert choose([*steps, ensemble], 5) == ["e", "s"]
    assert choose([*steps, Resident("e", 0, 3.0, is_fixed=True, steps=("s", "t"))], 5) == []
    old = Resident("e", 0, 0.0, steps=("t",))
    assert choose([*steps, old], 5) == ["s"]


class House:
    """Models that are loaded, each of 100 bytes, in the order in which they were used."""

    def __init__(self, *names: str, drain_s: float = 1.0) -> None:
        self.engine = FakeEngine()
        self.budget = MemoryBudget()
        serving = Serving(self.engine, self.budget)  # type: ignore[arg-type]
        self.now = 0.0
        self.slept = 0
        self.on_sleep: Any = lambda: None
        self.entries: dict[str, ModelEntry] = {}
        for used_at, name in enumerate(names):
            model: Any = FakeModel(name, 1, None, last_used_s=float(used_at))
            claim = self.budget.admit(name, 1, frozenset(), {CPU: 100})
            config: Any = None
            entry = ModelEntry(name, served=(LoadedVersion(name, 1, config, model, 0.0, [1], claim=claim),))
            self.engine.running.append(model)
            self.entries[name] = entry
        self.evictor = Evictor(
            serving,
            lambda: list(self.entries.values()),
            drain_s=drain_s,
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    def _sleep(self, duration_s: float) -> None:
        self.now += duration_s
        self.slept += 1
        self.on_sleep()

    def model(self, name: str) -> Any:
        return self.entries[name].served[0].model

    def served(self) -> list[str]:
        return [name for name, entry in self.entries.items() if entry.served]


def test_models_are_unloaded_until_there_is_room() -> None:
    house = House("a", "b", "c")
    assert house.evictor.make_room(CPU, 150, "d")
    assert house.served() == ["c"]
    assert house.budget.used_bytes() == 100
    assert house.engine.log == [
        ("publish", "a"), ("publish", "a"), ("stop", "a/1"),
        ("publish", "b"), ("publish", "b"), ("stop", "b/1"),
    ]  # fmt: skip
    assert house.entries["a"].num_evictions == 1
    assert house.entries["a"].rows == {}


def test_those_that_were_asked_for_stay_and_so_do_steps_that_are_about_to_be_used() -> None:
    house = House("a", "b", "c")
    house.entries["a"].wanted = True
    with house.entries["b"].held():
        assert house.evictor.make_room(CPU, 50, "d")
    assert house.served() == ["a", "b"]
    assert not house.evictor.make_room(CPU, 150, "d")
    assert house.served() == ["a", "b"]


def test_the_model_that_is_loaded_anew_does_not_make_room_for_itself() -> None:
    house = House("a")
    assert not house.evictor.make_room(CPU, 50, "a")


def test_idle_models_go_before_busy_ones() -> None:
    house = House("a", "b")
    house.model("a").in_flight = 1
    assert house.evictor.make_room(CPU, 50, "c")
    assert house.served() == ["a"]
    assert house.slept == 0


def test_a_busy_one_is_waited_for_while_its_requests_wait() -> None:
    house = House("a")
    model = house.model("a")
    model.in_flight = 2
    seen: list[list[Any]] = []

    def done() -> None:
        seen.append(house.engine.published["a"])
        model.in_flight -= 1

    house.on_sleep = done
    assert house.evictor.make_room(CPU, 50, "c")
    assert house.served() == []
    assert seen == [[], []]


def test_one_that_stays_busy_goes_on() -> None:
    house = House("a", "b")
    house.entries["b"].wanted = True
    house.model("a").in_flight = 1
    assert not house.evictor.make_room(CPU, 50, "c")
    assert house.served() == ["a", "b"]
    assert house.engine.published["a"] == [house.model("a")]
    assert house.engine.running == [house.model("a"), house.model("b")]


def test_one_that_is_loaded_or_unloaded_now_is_let_alone() -> None:
    house = House("a", "b")
    with house.entries["a"].lock:
        assert house.evictor.make_room(CPU, 50, "c")
    assert house.served() == ["a"]
