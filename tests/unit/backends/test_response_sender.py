"""Models that answer by senders: decoupled ones, and ones that run coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_request import FakeRequest, FakeSender

import triton_python_backend_utils as pb_utils
from naiad.backends.python.instance import PythonModelInstance
from naiad.errors import BackendError, InvalidArgument

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class Model:
    def __init__(self, execute: Callable[[Any], Any]) -> None:
        self.execute = execute


def instance(execute: Callable[[Any], Any], *, decoupled: bool = True) -> PythonModelInstance:
    return PythonModelInstance("m_0_0", Model(execute), ["Y", "Z"], decoupled=decoupled)


def run(execute: Callable[[Any], Any], *requests: FakeRequest, decoupled: bool = True) -> None:
    instance(execute, decoupled=decoupled).execute(list(requests))  # type: ignore[arg-type]


def request(**attributes: Any) -> FakeRequest:
    return FakeRequest({"X": np.array([[1.0, 2.0]], np.float32)}, **attributes)


def respond(value: float) -> pb_utils.InferenceResponse:
    tensors = [pb_utils.Tensor(name, np.array([value], np.float32)) for name in ("Y", "Z")]
    return pb_utils.InferenceResponse(tensors)


def sender_of(one: FakeRequest) -> FakeSender:
    assert one.sender is not None
    return one.sender


def test_responses_come_in_order_and_the_end_may_come_with_or_behind_the_last() -> None:
    def execute(requests: list[Any]) -> None:
        first, second = (r.get_response_sender() for r in requests)
        first.send(respond(1))
        first.send(respond(2), flags=FINAL)
        second.send(flags=FINAL)

    both = [request(requested_outputs=["Y"]), request()]
    run(execute, *both)
    assert sender_of(both[0]).given == [(({"Y": [1.0]}, None), False), (({"Y": [2.0]}, None), True)]
    assert sender_of(both[1]).given == [(None, True)]


def test_errors_are_responses() -> None:
    def execute(requests: list[Any]) -> None:
        sender = requests[0].get_response_sender()
        error = pb_utils.TritonError("no", pb_utils.TritonError.NOT_FOUND)
        sender.send(pb_utils.InferenceResponse([], error=error))
        sender.send(pb_utils.InferenceResponse([], error=error), flags=FINAL)

    one = request()
    run(execute, one)
    assert sender_of(one).given == [(("NOT_FOUND", "no"), False), (("NOT_FOUND", "no"), True)]


def test_a_sender_works_after_execute_from_another_thread() -> None:
    senders = []
    one = request()
    run(lambda requests: senders.extend(r.get_response_sender() for r in requests), one)
    thread = threading.Thread(target=lambda: senders[0].send(respond(5), flags=FINAL))
    thread.start()
    thread.join()
    assert sender_of(one).given == [(({"Y": [5.0], "Z": [5.0]}, None), True)]
    assert not senders[0].is_cancelled()
    sender_of(one).cancelled = True
    assert senders[0].is_cancelled()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda sender: sender.send(), "must be provided"),
        (lambda sender: sender.send(respond(1), flags=7), "Unsupported flag"),
        (lambda sender: sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("Q", np.ones(1))])), "'Q'"),
        (lambda sender: (sender.send(flags=FINAL), sender.send(flags=FINAL)), "closed"),
    ],
)
def test_what_a_sender_refuses(call: Callable[[Any], Any], words: str) -> None:
    raised: list[BaseException] = []

    def execute(requests: list[Any]) -> None:
        try:
            call(requests[0].get_response_sender())
        except InvalidArgument as error:
            raised.append(error)

    run(execute, request())
    assert words in str(raised[0])


def test_a_request_has_one_sender() -> None:
    run(lambda requests: check(requests[0]), request())


def check(received: Any) -> None:
    assert received.get_response_sender() is received.get_response_sender()


def test_a_decoupled_model_that_raises_fails_what_has_not_ended() -> None:
    def execute(requests: list[Any]) -> None:
        requests[0].get_response_sender().send(flags=FINAL)
        requests[1].get_response_sender().send(respond(1))
        raise RuntimeError("suite")

    both = [request(), request()]
    with pytest.raises(BackendError, match="suite"):
        run(execute, *both)
    assert sender_of(both[0]).given == [(None, True)]
    what, last = sender_of(both[1]).given[-1]
    assert what[0] == "INTERNAL" and "RuntimeError: suite" in what[1] and last


def test_a_decoupled_model_must_return_none_and_ask_for_each_sender() -> None:
    with pytest.raises(BackendError, match="must return None"):
        run(lambda requests: [respond(1)], request())
    with pytest.raises(BackendError, match="without the response sender"):
        run(lambda requests: None, request())


def test_a_model_that_is_not_decoupled_may_use_senders_for_some_requests() -> None:
    def execute(requests: list[Any]) -> list[Any]:
        requests[0].get_response_sender().send(respond(1), flags=FINAL)
        return [None, respond(2)]

    both = [request(), request()]
    run(execute, *both, decoupled=False)
    assert len(sender_of(both[0]).given) == 1
    assert both[1].outputs["Y"][1].tolist() == [2.0]
    with pytest.raises(BackendError, match="was asked for"):
        run(lambda rs: [rs[0].get_response_sender() and respond(1)], request(), decoupled=False)


def test_coroutines_of_a_decoupled_model_run_beside_one_another() -> None:
    arrived = threading.Event()
    second_came = asyncio.Event()

    async def execute(requests: list[Any]) -> None:
        if arrived.is_set():
            second_came.set()
        else:
            arrived.set()
            await second_came.wait()
        requests[0].get_response_sender().send(respond(1), flags=FINAL)

    model = instance(execute)
    first, second = request(), request()
    model.execute([first])  # type: ignore[list-item]
    assert arrived.wait(10)
    model.execute([second])  # type: ignore[list-item]
    for _ in range(1000):
        if sender_of(first).ended and sender_of(second).ended:
            break
        threading.Event().wait(0.01)
    assert sender_of(first).ended and sender_of(second).ended
    model.finalize()


def test_a_coroutine_that_raises_fails_its_requests() -> None:
    async def execute(requests: list[Any]) -> None:
        raise ValueError("suite")

    one = request()
    model = instance(execute)
    model.execute([one])  # type: ignore[list-item]
    model.finalize()
    ((what, last),) = sender_of(one).given
    assert "ValueError: suite" in what[1] and last


def test_a_coroutine_of_another_model_is_waited_for() -> None:
    async def execute(requests: list[Any]) -> list[Any]:
        await asyncio.sleep(0)
        return [respond(3) for _ in requests]

    one = request()
    run(execute, one, decoupled=False)
    assert one.outputs["Y"][1].tolist() == [3.0]
