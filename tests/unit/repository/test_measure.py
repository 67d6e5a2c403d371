"""What loads take, as it is seen."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from naiad.config import ModelConfig, parse_pbtxt
from naiad.repository import measure as measuring
from naiad.repository.measure import Measure
from naiad.settings import CPU

MB = 1 << 20


class Loaded:
    """A model with workers of these numbers."""

    in_flight = 0

    def __init__(self, *pids: int) -> None:
        self.pids = pids

    def instance_use(self) -> list[tuple[str, int, int]]:
        return [("i", 0, pid) for pid in self.pids]


class Memory:
    """What processes have, by their number; None: this one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: dict[int | None, int] = {None: 100}
        monkeypatch.setattr(measuring, "own_bytes", lambda pid=None: self.of[pid])


class Gpu:
    def __init__(self) -> None:
        self.used = 10

    def used_bytes(self, device: int) -> int:
        return self.used

    def total_bytes(self, device: int) -> int:
        return 100


def config(backend: str, more: str = "", kind: str = "KIND_CPU") -> ModelConfig:
    text = f'backend: "{backend}" instance_group [ {{ name: "i" kind: {kind} count: 1 gpus: [ ] }} ] {more}'
    return ModelConfig(parse_pbtxt(text.encode(), file="m/config.pbtxt"))


ON_GPU = ModelConfig(
    parse_pbtxt(
        b'backend: "x" instance_group [ { name: "i" kind: KIND_GPU count: 1 gpus: [ 0 ] } ]', file="m"
    )
)


def test_workers_are_looked_at_and_otherwise_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(monkeypatch)
    loaded: Any = Loaded()
    with Measure().of(config("onnxruntime")) as taken:
        memory.of[None] = 150
        assert taken.by(loaded) == {CPU: 50}
        memory.of[None] = 90
        assert taken.by(loaded) == {CPU: 0}
    memory.of |= {7: 30, 8: 40}
    with Measure().of(config("python")) as taken:
        loaded = Loaded(7, 8, 0)
        before = taken.of_workers(loaded)
        assert taken.by(loaded) == {CPU: 70}
        memory.of[9] = 5
        assert taken.by(Loaded(7, 8, 9), before) == {CPU: 5}  # type: ignore[arg-type]


def test_gpus_are_looked_at_where_instances_are_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    Memory(monkeypatch)
    gpu = Gpu()
    loaded: Any = Loaded()
    with Measure(gpu).of(ON_GPU) as taken:
        gpu.used = 45
        assert taken.by(loaded) == {CPU: 0, 0: 35}


def test_an_ensemble_takes_nothing() -> None:
    ensemble = ModelConfig(parse_pbtxt(b'platform: "ensemble"', file="m"))
    loaded: Any = Loaded()
    with Measure(exact=True).of(ensemble) as taken:
        assert taken.by(loaded) == {}


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (config("onnxruntime"), config("onnxruntime"), False),
        (config("onnxruntime"), config("python"), True),
        (
            config("onnxruntime"),
            config("python", 'parameters { key: "isolation" value { string_value: "thread" } }'),
            False,
        ),
    ],
)
def test_those_that_share_this_process_take_turns(
    monkeypatch: pytest.MonkeyPatch, first: ModelConfig, second: ModelConfig, together: bool
) -> None:
    monkeypatch.setattr(measuring, "TURN_S", 60.0)
    trims: list[None] = []
    measure = Measure(exact=True, trim=lambda: trims.append(None))
    inside = threading.Event()

    def load() -> None:
        with measure.of(second):
            inside.set()

    with measure.of(first):
        other = threading.Thread(target=load)
        other.start()
        assert inside.wait(60 if together else 0.05) is together
    other.join()
    assert inside.is_set()
    assert len(trims) == (1 if together else 2)


def test_what_ends_beside_a_load_is_not_taken_for_less_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eviction waits for the load that is measured, and the trimming behind it is left out."""
    monkeypatch.setattr(measuring, "TURN_S", 60.0)
    memory = Memory(monkeypatch)
    trims: list[None] = []
    measure = Measure(exact=True, trim=lambda: trims.append(None))
    ending: Any = Loaded()
    ended = threading.Event()

    def end() -> None:
        with measure.ending(config("onnxruntime"), ending):
            memory.of[None] -= 70
            ended.set()

    with measure.of(config("onnxruntime")) as taken:
        memory.of[None] += 50
        other = threading.Thread(target=end)
        other.start()
        assert not ended.wait(0.05)
        measure.trim()
        assert len(trims) == 1
        assert taken.by(Loaded()) == {CPU: 50}  # type: ignore[arg-type]
    other.join()
    assert ended.is_set() and len(trims) == 2
    measure.trim()
    assert len(trims) == 3


def test_a_load_does_not_wait_for_what_an_ending_model_is_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Measure(exact=True)
    busy: Any = Loaded()
    busy.in_flight = 1
    looked = threading.Event()

    def look(seconds: float) -> None:
        looked.set()
        threading.Event().wait(seconds)

    monkeypatch.setattr(measuring.time, "sleep", look)

    def end() -> None:
        with measure.ending(config("onnxruntime"), busy):
            pass

    other = threading.Thread(target=end)
    other.start()
    assert looked.wait(60)
    with measure.of(config("onnxruntime")):
        pass
    busy.in_flight = 0
    other.join(60)
    assert not other.is_alive()


def test_who_waits_too_long_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "TURN_S", 0.01)
    measure = Measure(exact=True)
    with measure.of(config("onnxruntime")), measure.of(config("onnxruntime")):
        pass
    with measure.of(config("onnxruntime")):
        assert not measure._turn.acquire(blocking=False)
