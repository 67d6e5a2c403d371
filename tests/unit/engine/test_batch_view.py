"""Batches that a Python object runs whole: their rows gathered, its outputs cut apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from naiad import engine as core
from naiad.errors import Internal, InvalidArgument


@pytest.fixture
def engine() -> Iterator[core.Engine]:
    engine = core.Engine(pool_bytes=64 << 20)
    yield engine
    engine.close()


class Whole:
    """Keeps what it saw of each batch; ``run`` answers."""

    def __init__(self, run: Callable[[Any], None]) -> None:
        self._run = run
        self.gate = threading.Event()
        self.batches: list[tuple[int, int]] = []
        self.entered = threading.Event()
        self.last: Any = None

    def execute_batch(self, batch: Any) -> None:
        self.batches.append((batch.num_requests, batch.num_rows))
        self.last = batch
        self.entered.set()
        assert self.gate.wait(30)
        self._run(batch)

    def finalize(self) -> None:
        pass


def start(engine: core.Engine, whole: Whole, datatype: str = "FP32") -> core.Model:
    spec = core.ModelSpec(
        "m",
        1,
        max_batch_size=8,
        inputs=[core.TensorSpec("X", datatype, [-1])],
        outputs=[core.TensorSpec("Y", datatype, [-1]), core.TensorSpec("Z", datatype, [-1])],
        dynamic_batching=True,
    )
    model = engine.start(spec, core.python_factory(lambda *_: whole), [core.InstanceSpec("m_0")])
    engine.publish("m", [model])
    return model


def place_double(batch: core.BatchView) -> None:
    ((name, datatype, array),) = batch.inputs()
    assert (name, array.shape[0]) == ("X", batch.num_rows)
    for output in batch.wanted_outputs:
        batch.place(output, datatype, array.shape)[...] = array * 2


def test_rows_of_a_batch_come_in_one_array_and_go_home_apart(engine: core.Engine) -> None:
    whole = Whole(place_double)
    start(engine, whole)
    queue = core.CompletionQueue(engine)
    queue.submit_local(0, "m", "", {"X": np.zeros((1, 2), np.float32)})
    assert whole.entered.wait(30)  # the others wait, and make the next batch
    for tag in (1, 2, 3):
        queue.submit_local(tag, "m", "", {"X": np.full((tag, 2), tag, np.float32)}, outputs=["Z"])
    whole.gate.set()
    answers: dict[int, Any] = {}
    while len(answers) < 4:
        answers.update({answer.tag: answer for answer in queue.drain()})
    for tag in (1, 2, 3):
        assert list(answers[tag].result.outputs) == ["Z"]
        assert answers[tag].result.outputs["Z"].numpy().tolist() == [[2 * tag, 2 * tag]] * tag
    assert whole.batches == [(1, 1), (3, 6)]


@pytest.mark.parametrize("aligned", [True, False])
def test_an_array_that_others_see_is_read_only(engine: core.Engine, aligned: bool) -> None:
    seen: list[bool] = []

    def run(batch: core.BatchView) -> None:
        seen.append(batch.inputs()[0][2].flags.writeable)
        place_double(batch)

    whole = Whole(run)
    whole.gate.set()
    start(engine, whole)
    memory = np.zeros(64, np.float32)
    first = (-memory.ctypes.data % 64) // 4
    x = memory[first + (0 if aligned else 1) :][:4].reshape(1, 4)
    engine.infer("m", "", {"X": x})
    assert seen == [not aligned]  # what had to be copied is the batch's own


def test_texts(engine: core.Engine) -> None:
    def run(batch: core.BatchView) -> None:
        ((_, datatype, array),) = batch.inputs()
        batch.output("Y", datatype, np.array([[text.upper()] for text in array.flat], dtype=np.object_))
        with pytest.raises(InvalidArgument, match="'Y' of BYTES has no place"):
            batch.place("Y", datatype, array.shape)

    whole = Whole(run)
    whole.gate.set()
    start(engine, whole, "BYTES")
    x = np.array([[b"a"], [b"b"]], dtype=np.object_)
    assert engine.infer("m", "", {"X": x}, outputs=["Y"]).outputs["Y"].numpy().tolist() == [[b"A"], [b"B"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda b: b.place("Y", "FP32", (3, 2)), r"'Y' of model 'm' has shape \[3,2\] for a batch of 2 rows"),
        (lambda b: b.output("Y", "FP32", np.ones((1, 2), np.float32)), r"has shape \[1,2\] for a batch of 2"),
        (lambda b: b.place("Y", "INT8", (2, 2)), "'Y' of model 'm' has data-type 'INT8'"),
        (lambda b: b.place("Q", "FP32", (2, 2)), "unexpected inference output 'Q'"),
        (lambda b: b.place("Y", "FP32", (-1, 2)), r"'Y' can not have shape \[-1,2\]"),
        (lambda b: b.place("Y", "FP32", (2, 1 << 62)), "'Y' can not have shape"),
    ],
)
def test_outputs_that_do_not_fit(engine: core.Engine, wrong: Callable[[Any], Any], message: str) -> None:
    whole = Whole(wrong)
    whole.gate.set()
    start(engine, whole)
    with pytest.raises((Internal, InvalidArgument), match=message):
        engine.infer("m", "", {"X": np.ones((2, 2), np.float32)})


def test_a_batch_that_is_over(engine: core.Engine) -> None:
    whole = Whole(place_double)
    whole.gate.set()
    start(engine, whole)
    engine.infer("m", "", {"X": np.ones((1, 2), np.float32)})
    with pytest.raises(InvalidArgument, match="after execute_batch"):
        whole.last.inputs()
