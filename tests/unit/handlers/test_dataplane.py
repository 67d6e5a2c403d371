"""The data plane over a queue of fakes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from naiad.engine import GrpcAnswer
from naiad.errors import InvalidArgument, Stopping
from naiad.handlers import dataplane
from naiad.handlers.dataplane import DataPlane


@dataclass
class Answer:
    tag: int
    error: Exception | None = None
    message: bytes = b""


class FakeQueue:
    """Answers when the test says so."""

    def __init__(self, engine: object) -> None:
        self.read_end, self.write_end = os.pipe()
        self.submitted: list[tuple[int, Any]] = []
        self.cancelled: list[int] = []
        self.finished: list[Answer] = []
        self.refusal: Exception | None = None

    def fileno(self) -> int:
        return self.read_end

    def submit_grpc(self, tag: int, message: bytes) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append((tag, message))

    def cancel(self, tag: int) -> None:
        self.cancelled.append(tag)

    def finish(self, *answers: Answer) -> None:
        self.finished.extend(answers)
        os.write(self.write_end, b"x")

    def drain(self) -> list[Answer]:
        os.read(self.read_end, 100)
        answers, self.finished = self.finished, []
        return answers


Run = Callable[[Callable[[DataPlane, FakeQueue], Any]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(dataplane, "CompletionQueue", FakeQueue)
    monkeypatch.setattr(dataplane, "GrpcAnswer", Answer)
    assert GrpcAnswer is not Answer

    def run(body: Callable[[DataPlane, FakeQueue], Any]) -> None:
        async def main() -> None:
            plane = DataPlane(object())  # type: ignore[arg-type]
            queue: FakeQueue = plane._queue  # type: ignore[assignment]
            plane.open()
            try:
                await asyncio.wait_for(body(plane, queue), 30)
            finally:
                plane.close()
                os.close(queue.read_end)
                os.close(queue.write_end)

        asyncio.run(main())

    yield run


async def submitted(queue: FakeQueue, count: int) -> None:
    while len(queue.submitted) < count:
        await asyncio.sleep(0)


def test_answers_find_who_waits_in_any_order(run: Run) -> None:
    async def body(plane: DataPlane, queue: FakeQueue) -> None:
        calls = [asyncio.create_task(plane.infer_grpc(b"%d" % i)) for i in range(3)]
        await submitted(queue, 3)
        tags = [tag for tag, _ in queue.submitted]
        assert len(set(tags)) == 3
        queue.finish(*(Answer(tag, message=message) for tag, message in reversed(queue.submitted)))
        assert await asyncio.gather(*calls) == [b"0", b"1", b"2"]

    run(body)


def test_errors_are_raised_where_the_request_was_made(run: Run) -> None:
    async def body(plane: DataPlane, queue: FakeQueue) -> None:
        queue.refusal = InvalidArgument("at once")
        with pytest.raises(InvalidArgument, match="at once"):
            await plane.infer_grpc(b"")
        queue.refusal = None
        call = asyncio.create_task(plane.infer_grpc(b""))
        await submitted(queue, 1)
        queue.finish(Answer(queue.submitted[0][0], InvalidArgument("later")))
        with pytest.raises(InvalidArgument, match="later"):
            await call

    run(body)


def test_a_client_that_goes_cancels_its_request(run: Run) -> None:
    async def body(plane: DataPlane, queue: FakeQueue) -> None:
        gone = asyncio.create_task(plane.infer_grpc(b"gone"))
        stays = asyncio.create_task(plane.infer_grpc(b"stays"))
        await submitted(queue, 2)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert queue.cancelled == [queue.submitted[0][0]]
        # The answer of the one that is gone comes home all the same.
        queue.finish(*(Answer(tag, message=message) for tag, message in queue.submitted))
        assert await stays == b"stays"

    run(body)


def test_drain_waits_for_the_admitted_and_admits_no_more(run: Run) -> None:
    async def body(plane: DataPlane, queue: FakeQueue) -> None:
        async def call() -> bytes:
            with plane.admitted():
                return await plane.infer_grpc(b"x")

        calling = asyncio.create_task(call())
        await submitted(queue, 1)
        draining = asyncio.create_task(plane.drain(30))
        await asyncio.sleep(0)
        assert plane.in_flight == 1 and not draining.done()
        with pytest.raises(Stopping, match="Server is stopping"):
            await call()
        queue.finish(Answer(queue.submitted[0][0], message=b"y"))
        assert await calling == b"y"
        assert await draining is True and plane.in_flight == 0

    run(body)


def test_drain_gives_up_in_time_and_says_so(run: Run) -> None:
    async def body(plane: DataPlane, queue: FakeQueue) -> None:
        async def call() -> bytes:
            with plane.admitted():
                return await plane.infer_grpc(b"x")

        calling = asyncio.create_task(call())
        await submitted(queue, 1)
        assert await plane.drain(0) is False
        plane.give_up()
        with pytest.raises(Stopping, match="not finished in time"):
            await calling
        assert queue.cancelled == [queue.submitted[0][0]]

    run(body)
