"""Inference for one event loop: requests go to the core under a number, answers come home under it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from naiad.engine import (
    CompletionQueue,
    Engine,
    GrpcAnswer,
    HttpAnswer,
    LocalAnswer,
    ParameterValue,
    Result,
)
from naiad.errors import Stopping

_Answer = HttpAnswer | GrpcAnswer | LocalAnswer


class DataPlane:
    """Submits wire bytes to the engine and wakes who waits for the answer.

    One event loop owns it; no method may be called from another thread. One wake-up of the loop takes all the
    answers that are there.
    """

    def __init__(self, engine: Engine) -> None:
        self._queue = CompletionQueue(engine)
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._last_tag = 0
        self._admitted = 0
        self._stopping = False
        self._idle: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Starts to listen for answers on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._queue.fileno(), self._drain)

    def close(self) -> None:
        """Stops listening. Who still waits is told that the server is stopping."""
        self.give_up()
        if self._loop is not None:
            self._loop.remove_reader(self._queue.fileno())
            self._loop = None

    def give_up(self) -> None:
        """Answers what is in flight with Stopping."""
        for tag, future in self._waiting.items():
            self._queue.cancel(tag)
            if not future.done():
                future.set_exception(Stopping("Server is stopping, the request was not finished in time"))
        self._waiting.clear()

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and are not answered."""
        return self._admitted

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """The span of one request, from its head to its answer. Raises Stopping when no more are taken."""
        if self._stopping:
            raise Stopping(
                "Server is stopping, scheduler for model has stopped accepting new inference requests"
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
            if self._idle is not None and self._admitted == 0:
                self._idle.set()

    async def drain(self, timeout_s: float) -> bool:
        """Admits no more, waits until all that were admitted are answered. False: some were not, in time."""
        self._stopping = True
        if self._admitted == 0:
            return True
        self._idle = asyncio.Event()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def infer_http(
        self, model: str, version: str, body: bytes | bytearray | memoryview, header_length: int | None
    ) -> HttpAnswer:
        """One request in the HTTP form; ``version`` is "" where the path names none."""
        tag = self._next_tag()
        self._queue.submit_http(tag, model, version, body, header_length)
        answer = await self._answer(tag)
        assert isinstance(answer, HttpAnswer)
        return answer

    async def infer_grpc(self, message: bytes) -> bytes:
        """One serialized ModelInferRequest; gives the serialized ModelInferResponse."""
        tag = self._next_tag()
        self._queue.submit_grpc(tag, message)
        answer = await self._answer(tag)
        assert isinstance(answer, GrpcAnswer)
        return answer.message

    async def infer_local(
        self,
        model: str,
        version: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Result:
        """One request of this process, of arrays. They are not copied: leave them alone until the answer."""
        tag = self._next_tag()
        self._queue.submit_local(
            tag, model, version, inputs, outputs=outputs, request_id=request_id, parameters=parameters
        )
        answer = await self._answer(tag)
        assert isinstance(answer, LocalAnswer)
        assert answer.result is not None
        return answer.result

    def _next_tag(self) -> int:
        self._last_tag += 1
        return self._last_tag

    async def _answer(self, tag: int) -> _Answer:
        if self._loop is None:
            self._queue.cancel(tag)
            raise Stopping("Server is stopping, the request was not finished in time")
        future: asyncio.Future[_Answer] = self._loop.create_future()
        self._waiting[tag] = future
        try:
            return await future
        except asyncio.CancelledError:
            # The client is gone. The answer still comes home, and finds nobody.
            if self._waiting.pop(tag, None) is not None:
                self._queue.cancel(tag)
            raise

    def _drain(self) -> None:
        for answer in self._queue.drain():
            future = self._waiting.pop(answer.tag, None)
            if future is None or future.done():
                continue
            if answer.error is None:
                future.set_result(answer)
            else:
                future.set_exception(answer.error)
