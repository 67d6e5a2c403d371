"""In-process requests over a queue of fakes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from naiad.errors import InvalidArgument, Stopping
from naiad.handlers import loop_requests
from naiad.handlers.loop_requests import LoopRequests


@dataclass
class Answer:
    tag: int
    error: Exception | None = None
    result: str | None = None


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

    def submit_local(self, tag: int, model: str, version: str, inputs: Any, **options: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append((tag, model))

    def cancel(self, tag: int) -> None:
        self.cancelled.append(tag)

    def finish(self, *answers: Answer) -> None:
        self.finished.extend(answers)
        os.write(self.write_end, b"x")

    def drain(self) -> list[Answer]:
        os.read(self.read_end, 100)
        answers, self.finished = self.finished, []
        return answers


Run = Callable[[Callable[[LoopRequests, FakeQueue], Any]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(loop_requests, "CompletionQueue", FakeQueue)

    def run(body: Callable[[LoopRequests, FakeQueue], Any]) -> None:
        async def main() -> None:
            requests = LoopRequests(object())  # type: ignore[arg-type]
            queue: FakeQueue = requests._queue  # type: ignore[assignment]
            requests.open()
            try:
                await asyncio.wait_for(body(requests, queue), 30)
            finally:
                requests.close()
                os.close(queue.read_end)
                os.close(queue.write_end)

        asyncio.run(main())

    yield run


async def submitted(queue: FakeQueue, count: int) -> None:
    while len(queue.submitted) < count:
        await asyncio.sleep(0)


def infer(requests: LoopRequests, model: str) -> asyncio.Task[Any]:
    return asyncio.create_task(requests.infer(model, "", {}))


def test_answers_find_who_waits_in_any_order(run: Run) -> None:
    async def body(requests: LoopRequests, queue: FakeQueue) -> None:
        calls = [infer(requests, str(i)) for i in range(3)]
        await submitted(queue, 3)
        assert len({tag for tag, _ in queue.submitted}) == 3
        queue.finish(*(Answer(tag, result=model) for tag, model in reversed(queue.submitted)))
        assert await asyncio.gather(*calls) == ["0", "1", "2"]

    run(body)


def test_errors_are_raised_where_the_request_was_made(run: Run) -> None:
    async def body(requests: LoopRequests, queue: FakeQueue) -> None:
        queue.refusal = InvalidArgument("at once")
        with pytest.raises(InvalidArgument, match="at once"):
            await requests.infer("m", "", {})
        queue.refusal = None
        call = infer(requests, "m")
        await submitted(queue, 1)
        queue.finish(Answer(queue.submitted[0][0], InvalidArgument("later")))
        with pytest.raises(InvalidArgument, match="later"):
            await call

    run(body)


def test_a_task_that_is_cancelled_takes_its_request_back(run: Run) -> None:
    async def body(requests: LoopRequests, queue: FakeQueue) -> None:
        gone, stays = infer(requests, "gone"), infer(requests, "stays")
        await submitted(queue, 2)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert queue.cancelled == [queue.submitted[0][0]]
        # The answer of the one that is gone comes home all the same.
        queue.finish(*(Answer(tag, result=model) for tag, model in queue.submitted))
        assert await stays == "stays"

    run(body)


def test_who_waits_is_told_when_it_closes(run: Run) -> None:
    async def body(requests: LoopRequests, queue: FakeQueue) -> None:
        waiting = infer(requests, "m")
        await submitted(queue, 1)
        requests.close()
        with pytest.raises(Stopping, match="not finished in time"):
            await waiting
        with pytest.raises(Stopping):
            await requests.infer("m", "", {})
        assert queue.cancelled == [tag for tag, _ in queue.submitted]

    run(body)
