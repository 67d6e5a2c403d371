"""Cases over the core with GPUs of the tests; tests/integration/test_fake_gpu.py runs them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any

import _fake_gpu
import numpy as np
import pytest

from naiad import engine as core
from naiad.errors import InvalidArgument, Unavailable

CUDA = 2
"""kDLCUDA of dlpack.h."""


class Adds:
    """A DeviceInstance: Y = X + 1, one kernel on the stream that it was given."""

    can_be_captured = False

    def __init__(self, name: str, kind: str, device: int, stream: int) -> None:
        assert (kind, stream != 0) == ("GPU", True)
        self.device, self.stream = device, stream
        self.slots: list[int] = []
        self.addresses: list[int] = []
        self.last: Any = None
        self.fails = ""

    def enqueue(self, batch: Any) -> None:
        self.slots.append(batch.slot)
        self.last = batch
        ((name, datatype, given),) = batch.inputs()
        assert (name, datatype) == ("X", "FP32")
        assert given.__dlpack_device__() == (CUDA, self.device)
        assert given.shape[0] == batch.num_rows
        if self.fails:
            raise RuntimeError(self.fails)
        made = batch.place("Y", datatype, given.shape)
        self.addresses.append(given.address)
        count = int(np.prod(given.shape))
        _fake_gpu.add(self.stream, made.address, given.address, count, 1.0)

    def finalize(self) -> None:
        pass


def spec_of(name: str, **more: Any) -> core.ModelSpec:
    return core.ModelSpec(
        name,
        1,
        max_batch_size=8,
        inputs=[core.TensorSpec("X", "FP32", [-1])],
        outputs=[core.TensorSpec("Y", "FP32", [-1])],
        dynamic_batching=True,
        **more,
    )


class House:
    """An engine with models that add on GPUs."""

    def __init__(self) -> None:
        self.engine = core.Engine(pool_bytes=64 << 20, gpu_cache_bytes={0: 0})
        self.queue = core.CompletionQueue(self.engine)
        self.instances: dict[str, list[Adds]] = {}

    def add(self, name: str, device: int = 0, **more: Any) -> core.Model:
        made = self.instances.setdefault(name, [])

        def make(*arguments: Any) -> Adds:
            made.append(Adds(*arguments))
            return made[-1]

        instance = core.InstanceSpec(f"{name}_0", device_kind="GPU", device_id=device)
        return self.serve(name, make, instance, streams=True, **more)

    def serve(
        self, name: str, make: Any, instance: core.InstanceSpec, *, streams: bool = False, **more: Any
    ) -> core.Model:
        """A model of what ``make`` gives."""
        model = self.engine.start(
            spec_of(name, **more), core.python_factory(make, streams=streams), [instance]
        )
        self.engine.publish(name, [model])
        return model

    def chain(self, name: str, steps: list[str]) -> core.Model:
        """An ensemble of steps one behind the other."""
        plan = core.EnsemblePlan([f"t{i}" for i in range(len(steps) + 1)], inputs=[0], outputs=[len(steps)])
        for i, step in enumerate(steps):
            plan.add_step(step, "", inputs=[("X", i, False)], outputs=[("Y", i + 1, False)])
        model = self.engine.start_ensemble(spec_of(name), plan)
        self.engine.publish(name, [model])
        return model

    def ask(self, tag: int, model: str, rows: int = 1, width: int = 16) -> None:
        self.queue.submit_local(tag, model, "", {"X": np.full((rows, width), tag, np.float32)})

    def answers(self, count: int) -> dict[int, Any]:
        """By tag, once so many are there."""
        end = time.monotonic() + 30
        got: dict[int, Any] = {}
        while len(got) < count:
            assert time.monotonic() < end
            got.update({answer.tag: answer for answer in self.queue.drain()})
            time.sleep(0.001)
        return got

    def answer(self, tag: int, model: str, rows: int = 1, width: int = 16) -> np.ndarray[Any, Any]:
        self.ask(tag, model, rows, width)
        result = self.answers(1)[tag]
        if result.error is not None:
            raise result.error
        return result.result.outputs["Y"].numpy()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.engine.close()
    for device in (0, 1):
        assert _fake_gpu.state(device)["faults"] == ""


def copies(device: int = 0) -> tuple[int, int]:
    state = _fake_gpu.state(device)
    return state["copies_to_gpu"], state["copies_to_host"]


def test_a_batch_is_seen_by_dlpack_and_written_on_the_stream(house: House) -> None:
    house.add("m")
    for tag in range(20):
        house.ask(tag, "m", rows=1 + tag % 3)
    answers = house.answers(20)
    for tag in range(20):
        assert answers[tag].result.outputs["Y"].numpy().tolist() == [[tag + 1.0] * 16] * (1 + tag % 3)
    (instance,) = house.instances["m"]
    assert set(instance.slots) <= {0, 1}
    with pytest.raises(InvalidArgument, match="cannot be used after enqueue"):
        instance.last.inputs()


def test_what_enqueue_raises_fails_the_batch_alone(house: House) -> None:
    house.add("m")
    house.answer(1, "m")
    (instance,) = house.instances["m"]
    instance.fails = "no such kernel"
    with pytest.raises(Exception, match="no such kernel"):
        house.answer(2, "m")
    instance.fails = ""
    assert house.answer(3, "m")[0, 0] == 4
    assert len(house.instances["m"]) == 1


def test_steps_of_an_ensemble_hand_on_what_they_made_and_none_writes_to_another_s(house: House) -> None:
    for name in ("a", "b", "c"):
        house.add(name)
    house.chain("e", ["a", "b", "c"])
    before = copies()
    assert house.answer(7, "e").tolist() == [[10.0] * 16]
    assert copies() == (before[0] + 1, before[1] + 1)
    # Two readers of one tensor have memory of their own: DLPack lets both write to it.
    house.chain("f", ["a", "b"])
    for tag in range(30):
        house.ask(tag, "e" if tag % 2 else "f")
    answers = house.answers(30)
    for tag in range(30):
        assert answers[tag].result.outputs["Y"].numpy()[0, 0] == tag + (3 if tag % 2 else 2)


def test_a_model_s_share_of_the_pool_is_bounded_and_told(house: House) -> None:
    model = house.add("m", gpu_memory_limit_bytes=1 << 20)
    assert house.answer(1, "m", width=1000)[0, 0] == 2
    with pytest.raises(Unavailable, match=r"model 'm' cannot have .* of the 1.0 MiB that it may have"):
        house.answer(2, "m", width=1_000_000)
    assert house.answer(3, "m", width=1000)[0, 0] == 4
    ((device, used, peak, limit),) = model.gpu_use()
    assert (device, limit) == (0, 1 << 20)
    assert 0 <= used <= peak <= limit
    assert peak >= 8000
    (pool,) = house.engine.gpu_usage()
    assert (pool["device"], pool["uuid"], pool["kept"]) == (0, "GPU-fake-0", 0)


def test_models_on_two_gpus_and_a_chain_over_both(house: House) -> None:
    house.add("a", 0)
    house.add("b", 1)
    house.chain("e", ["a", "b"])
    before = [copies(device)[1] for device in (0, 1)]
    assert house.answer(1, "e")[0, 0] == 3
    assert [copies(device)[1] for device in (0, 1)] == [before[0], before[1] + 1]


def test_a_device_that_fails_is_answered_for_and_its_instance_made_anew(house: House) -> None:
    house.add("m")
    house.answer(1, "m")
    _fake_gpu.fail_work(0)
    with pytest.raises(Exception, match="the GPU failed"):
        house.answer(2, "m")
    _fake_gpu.heal(0)

    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not true():
            assert time.monotonic() < end
            time.sleep(0.01)

    until(lambda: len(house.instances["m"]) > 1)
    assert house.answer(3, "m")[0, 0] == 4


def test_batches_of_a_shape_that_comes_again_are_replayed_without_python(house: House) -> None:
    Adds.can_be_captured = True
    try:
        house.add("m", graphs=True)
        house.add("plain")
    finally:
        Adds.can_be_captured = False
    before = _fake_gpu.state(0)["graph_launches"]
    for tag in range(12):
        assert house.answer(tag, "m", rows=2).tolist() == [[tag + 1.0] * 16] * 2
        assert house.answer(tag, "plain")[0, 0] == tag + 1
    (captured,), (plain,) = house.instances["m"], house.instances["plain"]
    # Each of the two slots sees the shape once, and captures it with the second batch.
    assert len(captured.slots) == 6
    assert len(plain.slots) == 12
    assert _fake_gpu.state(0)["graph_launches"] == before + 8
    house.chain("e", ["m", "plain"])
    for tag in range(12):
        assert house.answer(tag, "e", rows=3).tolist() == [[tag + 2.0] * 16] * 3


class Looks:
    """Y = X, having looked where X lies: on a GPU it is copied there."""

    takes_gpu_inputs = True

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.held: list[Any] = []

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            ((_, datatype, value),) = request.inputs()
            if isinstance(value, np.ndarray):
                self.seen.append("host")
            else:
                assert value.__dlpack_device__() == (CUDA, 0)
                self.seen.append("gpu")
                self.held.append(value)
                count = int(np.prod(value.shape))
                copy = (ctypes.c_float * count).from_address(value.address)  # the stand-in's is of the host
                value = np.array(copy, np.float32).reshape(value.shape)
            request.output("Y", datatype, value)

    def finalize(self) -> None:
        pass


def test_python_instances_that_take_them_get_inputs_on_the_gpu(house: House) -> None:
    instance = Looks()
    house.add("a")
    house.serve("looks", lambda *_: instance, core.InstanceSpec("looks_0"))
    house.chain("e", ["a", "looks"])
    before = copies()
    assert house.answer(1, "e")[0, 0] == 2
    assert copies() == (before[0] + 1, before[1])
    assert house.answer(2, "looks")[0, 0] == 2
    assert instance.seen == ["gpu", "host"]
    # What it has kept outlives the engine.
    (kept,) = instance.held
    house.engine.close()
    assert ctypes.c_float.from_address(kept.address).value == 2


def test_python_instances_that_say_nothing_get_them_on_the_host(house: House) -> None:
    instance = Looks()
    instance.takes_gpu_inputs = False
    house.add("a")
    house.serve("looks", lambda *_: instance, core.InstanceSpec("looks_0"))
    house.chain("e", ["a", "looks"])
    assert house.answer(1, "e")[0, 0] == 2
    assert instance.seen == ["host"]
