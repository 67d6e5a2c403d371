"""In-process requests that have any number of responses: those of decoupled models, and of any other too."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from naiad.engine import CompletionQueue, Engine, ParameterValue, Result

_TAG = 1


class ResponseStream:
    """One request and its responses, in order. They wait in the core until they are asked for, and the model
    waits with them when there are many. Used once, by one thread or one event loop.
    """

    def __init__(
        self,
        engine: Engine,
        model: str,
        version: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> None:
        """Submits the request; raises what refuses it."""
        self._ended = False
        self._queue = CompletionQueue(engine)
        self._queue.submit_local(
            _TAG,
            model,
            version,
            inputs,
            outputs=outputs,
            request_id=request_id,
            parameters=parameters,
            many=True,
        )

    def results(self) -> Iterator[Result]:
        """The responses; blocks for each. A failure is raised, behind what came before it. Left early, the
        request is cancelled, and the model's end with it is waited for.
        """
        poll = select.poll()
        poll.register(self._queue.fileno(), select.POLLIN)
        try:
            while not self._ended:
                poll.poll()
                for error, result in self._take():
                    if error is not None:
                        raise error
                    if result is not None:
                        yield result
        finally:
            self._queue.cancel(_TAG)
            while not self._ended:
                poll.poll()
                self._take()

    async def aresults(self) -> AsyncGenerator[Result, None]:
        """The same on the running event loop."""
        try:
            while not self._ended:
                await self._readable()
                for error, result in self._take():
                    if error is not None:
                        raise error
                    if result is not None:
                        yield result
        finally:
            self._queue.cancel(_TAG)
            while not self._ended:
                await self._readable()
                self._take()

    def _take(self) -> list[tuple[Exception | None, Result | None]]:
        answers = self._queue.drain()
        self._ended = self._ended or any(answer.last for answer in answers)
        # Not the answers themselves: a failure that is raised refers to the frame, and so to what the frame
        # holds, and of the core's objects the garbage collector does not know that they refer to the failure.
        return [(answer.error, answer.result) for answer in answers]

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()

        def told() -> None:
            if not readable.done():
                readable.set_result(None)

        loop.add_reader(self._queue.fileno(), told)
        try:
            await readable
        finally:
            loop.remove_reader(self._queue.fileno())
