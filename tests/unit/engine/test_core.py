"""The core through its Python face: lifetimes, arrays, and the queue of an event loop."""

from __future__ import annotations

import gc
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from naiad import engine as core
from naiad.errors import (
    AlreadyExists,
    Cancelled,
    Internal,
    InvalidArgument,
    NaiadError,
    NotFound,
    Unavailable,
)

ALL_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@pytest.fixture
def engine() -> Iterator[core.Engine]:
    engine = core.Engine(pool_bytes=64 << 20)
    yield engine
    engine.close()


def identity(engine: core.Engine, datatype: str = "FP32", name: str = "id") -> core.Model:
    spec = core.ModelSpec(
        name,
        1,
        max_batch_size=8,
        inputs=[core.TensorSpec("X", datatype, [-1])],
        outputs=[core.TensorSpec("Y", datatype, [-1])],
    )
    model = engine.start(spec, core.identity_factory(), [core.InstanceSpec(f"{name}_0")])
    engine.publish(name, [model])
    return model


class Held:
    """A Python model that waits for a gate, and keeps what it was given."""

    def __init__(self, run: Callable[[Any], None] | None = None) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.arrays: list[Any] = []
        self.run = run
        self.finalized = False

    def execute(self, requests: list[core.RequestView]) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        for request in requests:
            for _, datatype, array in request.inputs():
                self.arrays.append(array)
                request.output("Y", datatype, array)
            if self.run is not None:
                self.run(request)

    def finalize(self) -> None:
        self.finalized = True


def held(engine: core.Engine, model: Held, name: str = "py", datatype: str = "FP32") -> core.Model:
    spec = core.ModelSpec(
        name,
        1,
        max_batch_size=8,
        inputs=[core.TensorSpec("X", datatype, [-1])],
        outputs=[core.TensorSpec("Y", datatype, [-1])],
    )
    started = engine.start(spec, core.python_factory(lambda *_: model), [core.InstanceSpec(f"{name}_0")])
    engine.publish(name, [started])
    return started


def wait_for(queue: core.CompletionQueue, count: int) -> list[Any]:
    answers: list[Any] = []
    poll = select.poll()
    poll.register(queue.fileno(), select.POLLIN)
    while len(answers) < count:
        assert poll.poll(30_000), "nothing came home"
        answers += queue.drain()
    return answers


X = {"X": np.array([[1, 2.5]], np.float32)}


@pytest.mark.parametrize("datatype", ALL_TYPES)
def test_arrays_of_every_type_come_back_equal(engine: core.Engine, datatype: str) -> None:
    identity(engine, datatype)
    x = np.arange(6).reshape(2, 3).astype(ALL_TYPES[datatype])
    y = engine.infer("id", "", {"X": x}).outputs["Y"]
    assert (y.datatype, y.shape, y.size_bytes) == (datatype, (2, 3), x.nbytes)
    np.testing.assert_array_equal(y.numpy(), x)
    assert y.numpy().dtype == x.dtype
    assert bytes(memoryview(y)) == x.tobytes()


def test_an_array_in_another_order_is_taken_by_its_values(engine: core.Engine) -> None:
    identity(engine)
    x = np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_array_equal(engine.infer("id", "", {"X": x}).outputs["Y"].numpy(), x)
    swapped = np.arange(6, dtype=">f4").reshape(2, 3)
    np.testing.assert_array_equal(engine.infer("id", "", {"X": swapped}).outputs["Y"].numpy(), swapped)


def test_strings_of_each_kind_become_bytes(engine: core.Engine) -> None:
    identity(engine, "BYTES")
    for x in (
        np.array([["a", "ü", ""]], dtype=object),
        np.array([[b"a", "ü".encode(), b""]], dtype=object),
        np.array([["a", "ü", ""]]),
    ):
        y = engine.infer("id", "", {"X": x}).outputs["Y"].numpy()
        assert y.tolist() == [[b"a", "ü".encode(), b""]]
    with pytest.raises(InvalidArgument, match="bytes or str, not int"):
        engine.infer("id", "", {"X": np.array([[1, 2]], dtype=object)})


def test_dlpack_in_and_out(engine: core.Engine) -> None:
    identity(engine)

    class Exporter:
        """Offers DLPack and nothing else."""

        def __init__(self, array: np.ndarray[Any, Any]) -> None:
            self.array = array

        def __dlpack__(self, **kwargs: Any) -> Any:
            return self.array.__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    y = engine.infer("id", "", {"X": Exporter(x)}).outputs["Y"]
    assert y.__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(np.from_dlpack(y), x)


def test_an_array_outlives_its_result_and_the_engine() -> None:
    engine = core.Engine(pool_bytes=16 << 20)
    held(engine, model := Held())
    model.gate.set()
    y = engine.infer("py", "", {"X": np.ones((1, 1000), np.float32)}).outputs["Y"].numpy()
    engine.close()
    del engine
    gc.collect()
    assert model.finalized
    assert y.sum() == 1000


def test_views_are_read_only(engine: core.Engine) -> None:
    identity(engine)
    y = engine.infer("id", "", {"X": np.ones((1, 2), np.float32)}).outputs["Y"].numpy()
    with pytest.raises(ValueError, match="read-only"):
        y[0, 0] = 5


def test_inputs_are_let_go_when_the_answer_is_home(engine: core.Engine) -> None:
    identity(engine)
    queue = core.CompletionQueue(engine)
    given = bytearray(8)
    array = np.frombuffer(given, np.float32).reshape(1, 2)
    queue.submit_local(1, "id", "", {"X": array})
    del array
    with pytest.raises(BufferError):
        given += b" "  # exported while the request is out
    wait_for(queue, 1)
    queue.drain()
    given += b" "


def test_an_input_kept_by_a_model_stays_valid(engine: core.Engine) -> None:
    held(engine, model := Held())
    model.gate.set()
    queue = core.CompletionQueue(engine)
    queue.submit_local(1, "py", "", {"X": np.array([[1, 2.5]], np.float32)})
    wait_for(queue, 1)
    gc.collect()
    assert model.arrays[0].tolist() == [[1.0, 2.5]]


def test_answers_carry_their_tags_and_ids(engine: core.Engine) -> None:
    identity(engine)
    queue = core.CompletionQueue(engine)
    for tag in range(50):
        queue.submit_local(tag, "id", "1", X, request_id=str(tag))
    answers = wait_for(queue, 50)
    assert sorted(answer.tag for answer in answers) == list(range(50))
    for answer in answers:
        assert answer.error is None and answer.result.id == str(answer.tag)
        assert answer.result.outputs["Y"].numpy().tolist() == [[1.0, 2.5]]
    assert queue.drain() == []


def test_refusals_are_raised_at_once(engine: core.Engine) -> None:
    identity(engine)
    queue = core.CompletionQueue(engine)
    with pytest.raises(NotFound, match="'nope' is not found"):
        queue.submit_local(1, "nope", "", X)
    with pytest.raises(InvalidArgument):
        queue.submit_local(1, "id", "", {"X": np.ones((1, 1), np.int32)})
    queue.submit_local(1, "id", "", X)  # the tag is free again
    assert wait_for(queue, 1)[0].error is None


def test_one_tag_is_one_request(engine: core.Engine) -> None:
    held(engine, model := Held())
    queue = core.CompletionQueue(engine)
    queue.submit_local(1, "py", "", X)
    with pytest.raises(AlreadyExists):
        queue.submit_local(1, "py", "", X)
    model.gate.set()
    assert len(wait_for(queue, 1)) == 1


def test_a_cancelled_request_does_not_run(engine: core.Engine) -> None:
    held(engine, model := Held())
    queue = core.CompletionQueue(engine)
    queue.submit_local(1, "py", "", X)
    assert model.entered.wait(30)
    queue.submit_local(2, "py", "", X)
    queue.cancel(2)
    queue.cancel(99)
    model.gate.set()
    answers = {answer.tag: answer for answer in wait_for(queue, 2)}
    assert answers[1].error is None
    assert isinstance(answers[2].error, Cancelled)
    assert len(model.arrays) == 1


def test_a_queue_that_goes_waits_for_its_requests(engine: core.Engine) -> None:
    held(engine, model := Held())
    queue = core.CompletionQueue(engine)
    for tag in range(5):
        queue.submit_local(tag, "py", "", X)
    assert model.entered.wait(30)
    threading.Timer(0.05, model.gate.set).start()
    del queue
    gc.collect()
    assert len(model.arrays) == 1, "the four that had not begun were cancelled"


def test_what_a_model_raises_keeps_its_class(engine: core.Engine) -> None:
    def fail(request: Any) -> None:
        raise Unavailable("later")

    held(engine, model := Held(fail))
    model.gate.set()
    with pytest.raises(Unavailable, match="^later$"):
        engine.infer("py", "", {"X": np.ones((1, 1), np.float32)})

    def crash(request: Any) -> None:
        raise KeyError("oops")

    model.run = crash
    with pytest.raises(Internal, match="KeyError: 'oops'"):
        engine.infer("py", "", {"X": np.ones((1, 1), np.float32)})


def test_what_a_model_answers_is_checked(engine: core.Engine) -> None:
    refused: list[NaiadError] = []

    def answer(request: Any) -> None:
        for name, datatype, array in (
            ("Z", "FP32", np.ones((1, 1), np.float32)),
            ("Y", "INT32", np.ones((1, 1), np.int32)),
            ("Y", "FP32", np.ones((1, 1), np.int32)),
        ):
            try:
                request.output(name, datatype, array)
            except NaiadError as error:
                refused.append(error)
        request.parameter("mark", 5)

    held(engine, model := Held(answer))
    model.gate.set()
    result = engine.infer("py", "", {"X": np.ones((1, 1), np.float32)})
    assert [type(error) for error in refused] == [InvalidArgument] * 3
    assert result.parameters == {"mark": 5}


def test_a_request_view_is_dead_after_execute(engine: core.Engine) -> None:
    kept: list[Any] = []
    held(engine, model := Held(kept.append))
    model.gate.set()
    engine.infer("py", "", {"X": np.ones((1, 1), np.float32)})
    with pytest.raises(InvalidArgument, match="after execute"):
        kept[0].inputs()


def test_a_reused_output_array_does_not_change_an_answer(engine: core.Engine) -> None:
    scratch = np.zeros((1, 1), np.float32)

    def answer(request: Any) -> None:
        scratch[:] += 1
        request.output("Y", "FP32", scratch)

    class Fresh(Held):
        def execute(self, requests: list[core.RequestView]) -> None:
            for request in requests:
                answer(request)

    held(engine, Fresh())
    x = {"X": np.ones((1, 1), np.float32)}
    first = engine.infer("py", "", x).outputs["Y"].numpy()
    engine.infer("py", "", x)
    assert first.tolist() == [[1.0]]


def test_parameters_reach_a_model_with_their_types(engine: core.Engine) -> None:
    seen: list[dict[str, Any]] = []
    held(engine, model := Held(lambda request: seen.append(request.parameters)))
    model.gate.set()
    given = {"a": 1, "b": True, "c": "x", "d": 0.5, "e": 2**63}
    engine.infer("py", "", {"X": np.ones((1, 1), np.float32)}, parameters=given)
    assert seen == [given]
    assert [type(value) for value in seen[0].values()] == [int, bool, str, float, int]
    with pytest.raises(InvalidArgument):
        engine.infer("py", "", {"X": np.ones((1, 1), np.float32)}, parameters={"big": 2**64})


def test_a_failing_load_raises_and_leaves_nothing(engine: core.Engine) -> None:
    def make(*_: Any) -> Any:
        raise InvalidArgument("no such thing")

    spec = core.ModelSpec("m", 1, max_batch_size=0, inputs=[], outputs=[])
    with pytest.raises(InvalidArgument, match="no such thing"):
        engine.start(spec, core.python_factory(make), [core.InstanceSpec("m_0"), core.InstanceSpec("m_1")])


def test_threads_share_the_engine(engine: core.Engine) -> None:
    model = identity(engine)
    held(engine, slow := Held())
    slow.gate.set()
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            x = np.full((1, 3), seed, np.float32)
            for _ in range(200):
                assert engine.infer("id", "", {"X": x}).outputs["Y"].numpy()[0, 0] == seed
                assert engine.infer("py", "", {"X": x}).outputs["Y"].numpy()[0, 0] == seed
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert model.statistics()["success"][0] == 800
    assert model.pending == 0


def test_the_pool_gives_blocks_again(engine: core.Engine) -> None:
    held(engine, model := Held())
    model.gate.set()
    x = {"X": np.ones((1, 10_000), np.float32)}
    for _ in range(50):
        engine.infer("py", "", x)
        model.arrays.clear()
    usage = engine.usage()
    assert usage["capacity"] == 64 << 20
    assert usage["mapped"] < 1 << 20, "fifty answers of 40 KB took their blocks again"
