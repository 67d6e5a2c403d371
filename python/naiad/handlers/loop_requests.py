"""In-process inference for one event loop: requests go to the core by number, answers come home by it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from naiad.engine import CompletionQueue, Engine, ParameterValue, Result
from naiad.errors import Stopping


class LoopRequests:
    """Submits requests to the engine and wakes who waits for the answer.

    One event loop owns it; no method may be called from another thread. One wake-up of the loop takes all the
    answers that are there.
    """

    def __init__(self, engine: Engine) -> None:
        self._queue = CompletionQueue(engine)
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self._last_tag = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Starts to listen for answers on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._queue.fileno(), self._drain)

    def close(self) -> None:
        """Stops listening. Who still waits is told that the server is stopping."""
        for tag, future in self._waiting.items():
            self._queue.cancel(tag)
            if not future.done():
                future.set_exception(Stopping("Server is stopping, the request was not finished in time"))
        self._waiting.clear()
        if self._loop is not None:
            self._loop.remove_reader(self._queue.fileno())
            self._loop = None

    async def infer(
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
        self._last_tag += 1
        tag = self._last_tag
        self._queue.submit_local(
            tag, model, version, inputs, outputs=outputs, request_id=request_id, parameters=parameters
        )
        if self._loop is None:
            self._queue.cancel(tag)
            raise Stopping("Server is stopping, the request was not finished in time")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting[tag] = future
        try:
            return await future
        except asyncio.CancelledError:
            # Nobody waits any more. The answer still comes home.
            if self._waiting.pop(tag, None) is not None:
                self._queue.cancel(tag)
            raise

    def _drain(self) -> None:
        for answer in self._queue.drain():
            future = self._waiting.pop(answer.tag, None)
            if future is None or future.done():
                continue
            if answer.result is not None:
                future.set_result(answer.result)
            elif answer.error is not None:
                future.set_exception(answer.error)
