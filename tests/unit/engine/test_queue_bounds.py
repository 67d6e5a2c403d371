"""How many requests may wait for a model that sets no bound of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from naiad import engine as core
from naiad.errors import Unavailable

DEFAULT_BOUND = 8192
X = {"X": np.zeros((1, 1), np.float32)}


class Gated:
    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()

    def execute(self, requests: list[core.RequestView]) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        for request in requests:
            for _, datatype, array in request.inputs():
                request.output("Y", datatype, array)


@pytest.fixture
def engine() -> Iterator[core.Engine]:
    engine = core.Engine(pool_bytes=64 << 20)
    yield engine
    engine.close()


@pytest.mark.parametrize("unbounded", [False, True])
def test_the_default_bound_holds_unless_there_is_none(engine: core.Engine, unbounded: bool) -> None:
    spec = core.ModelSpec(
        "m",
        1,
        max_batch_size=64,
        inputs=[core.TensorSpec("X", "FP32", [-1])],
        outputs=[core.TensorSpec("Y", "FP32", [-1])],
        dynamic_batching=True,
        unbounded_queue=unbounded,
    )
    gated = Gated()
    model = engine.start(spec, core.python_factory(lambda *_: gated), [core.InstanceSpec("m_0")])
    engine.publish("m", [model])
    queue = core.CompletionQueue(engine)
    queue.submit_local(0, "m", "", X)
    assert gated.entered.wait(30)
    for tag in range(1, DEFAULT_BOUND + 1):
        queue.submit_local(tag, "m", "", X)
    more = range(DEFAULT_BOUND + 1, 3 * DEFAULT_BOUND)
    if unbounded:
        for tag in more:
            queue.submit_local(tag, "m", "", X)
    else:
        with pytest.raises(Unavailable, match="Exceeds maximum queue size"):
            queue.submit_local(more[0], "m", "", X)
    assert model.pending == DEFAULT_BOUND + (len(more) if unbounded else 0)
    gated.gate.set()
    engine.stop(model)
    answers = queue.drain()
    assert [answer.tag for answer in answers] == list(range(len(answers)))
    assert len(answers) == 1 + DEFAULT_BOUND + (len(more) if unbounded else 0)
    assert not [answer for answer in answers if answer.error is not None]
