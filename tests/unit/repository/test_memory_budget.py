"""What models may take together, with and without somebody to make room."""

from __future__ import annotations

import threading

import pytest

from naiad.errors import Unavailable
from naiad.repository.memory_budget import Claim, MemoryBudget
from naiad.settings import CPU

MB = 10**6
FILES = frozenset({("1/model.onnx", 5, 1)})


class Gpu:
    """One GPU of 1000 MB, of which ``used`` are in use."""

    def __init__(self, used: int) -> None:
        self.used = used

    def used_bytes(self, device: int) -> int:
        return self.used

    def total_bytes(self, device: int) -> int:
        return 1000 * MB


def load(budget: MemoryBudget, name: str, expected: int, took: int) -> Claim:
    claim = budget.admit(name, 1, FILES, {CPU: expected})
    budget.settle(claim, {CPU: took})
    budget.note_serving([claim], True)
    return claim


def test_without_a_limit_everything_is_admitted_and_counted() -> None:
    budget = MemoryBudget()
    assert not budget.is_limited
    claim = load(budget, "a", 1, 700 * MB)
    load(budget, "b", 1, 800 * MB)
    assert budget.used_bytes() == 1500 * MB
    budget.release(claim)
    budget.release(claim)
    assert budget.used_bytes() == 800 * MB


def test_what_would_pass_the_limit_with_headroom_is_refused_with_the_numbers() -> None:
    budget = MemoryBudget(1150 * MB)
    load(budget, "a", 500 * MB, 600 * MB)
    load(budget, "b", 400 * MB, 400 * MB)
    with pytest.raises(Unavailable) as refused:
        budget.admit("c", 2, FILES, {CPU: 100 * MB})
    assert refused.value.message == (
        "there is no room for model 'c' version 2 in main memory: it needs 100.0 MB, by the size of its "
        "files, the models that are loaded take 1000.0 MB, and with 15% headroom 1265.0 MB are more than "
        "--model-memory-limit=1150.0 MB allows; unload a model or raise the limit"
    )
    assert budget.used_bytes() == 1000 * MB


def test_a_model_is_expected_to_take_what_it_took_unless_its_files_changed() -> None:
    budget = MemoryBudget(1150 * MB)
    budget.release(load(budget, "a", 10 * MB, 900 * MB))
    load(budget, "b", 10 * MB, 200 * MB)
    with pytest.raises(Unavailable, match=r"900\.0 MB, which it took when it was loaded last"):
        budget.admit("a", 1, FILES, {CPU: 10 * MB})
    budget.admit("a", 1, frozenset(), {CPU: 10 * MB})


def test_one_that_took_more_than_there_is_gives_it_back() -> None:
    budget = MemoryBudget(1150 * MB)
    load(budget, "a", 500 * MB, 500 * MB)
    claim = budget.admit("b", 1, FILES, {CPU: 100 * MB})
    with pytest.raises(Unavailable, match=r"it needs 600\.0 MB, which it took, the models .* take 500\.0 MB"):
        budget.settle(claim, {CPU: 600 * MB})
    budget.release(claim)
    assert budget.used_bytes() == 500 * MB
    with pytest.raises(Unavailable, match="when it was loaded last"):
        budget.admit("b", 1, FILES, {CPU: 100 * MB})


def test_others_make_room() -> None:
    budget = MemoryBudget(1150 * MB)
    held = load(budget, "a", 900 * MB, 900 * MB)
    asked: list[tuple[int, int, str]] = []

    def make_room(place: int, to_free: int, name: str) -> bool:
        asked.append((place, to_free, name))
        budget.release(held)
        return True

    budget.make_room = make_room
    load(budget, "b", 300 * MB, 300 * MB)
    assert asked == [(CPU, 200 * MB, "b")]
    assert budget.used_bytes() == 300 * MB


def test_a_load_waits_for_others_that_are_under_way() -> None:
    budget = MemoryBudget(1150 * MB, wait_s=60)
    loading = budget.admit("a", 1, FILES, {CPU: 900 * MB})
    asked = threading.Event()

    def make_room(place: int, to_free: int, name: str) -> bool:
        asked.set()
        return False

    budget.make_room = make_room
    waiting = threading.Thread(target=load, args=(budget, "b", 300 * MB, 300 * MB))
    waiting.start()
    assert asked.wait(30)
    # Meanwhile others have their turn.
    load(budget, "c", 10 * MB, 10 * MB)
    budget.release(loading)
    waiting.join()
    assert budget.used_bytes() == 310 * MB


def test_a_changed_number_of_instances_counts() -> None:
    budget = MemoryBudget()
    claim = load(budget, "a", 1, 100 * MB)
    budget.grow(claim, {CPU: 50 * MB})
    assert claim.main_bytes == 150 * MB
    budget.grow(claim, {CPU: -500 * MB})
    assert claim.main_bytes == 0


def test_a_gpu_is_filled_up_to_its_fraction_by_whomever() -> None:
    gpu = Gpu(500 * MB)
    budget = MemoryBudget(0, {0: 0.8}, gpu)
    assert budget.is_limited
    budget.admit("a", 1, FILES, {0: 300 * MB})
    gpu.used = 600 * MB
    with pytest.raises(Unavailable) as refused:
        budget.admit("b", 1, FILES, {0: 300 * MB})
    assert refused.value.message == (
        "there is no room for model 'b' version 1 on GPU 0: it needs 300.0 MB, by the size of its files, "
        "600.0 MB of 1000.0 MB are in use, and --model-load-gpu-limit=0:0.8 allows 800.0 MB; unload a "
        "model or raise the limit"
    )
    budget.admit("c", 1, FILES, {1: 900 * MB, CPU: 900 * MB})


def test_limits_of_gpus_that_are_not_there_refuse_nothing() -> None:
    budget = MemoryBudget(0, {0: 0.1})
    assert not budget.is_limited
    budget.admit("a", 1, FILES, {0: 300 * MB})
