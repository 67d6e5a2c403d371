"""In-process requests that have any number of responses: those of decoupled models, and of any other too."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from naiad.engine import CompletionQueue, Engine, ParameterValue, Result, TraceWatch

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
        watch: TraceWatch | None = None,
    ) -> None:
        """Submits the request; raises what refuses it. ``watch``: it is traced, whatever the settings are."""
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
            watch=watch,
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
        reading = _Readable(self._queue.fileno())
        try:
            while not self._ended:
                await reading.wait()
                for error, result in self._take():
                    if error is not None:
                        raise error
                    if result is not None:
                        yield result
        finally:
            self._queue.cancel(_TAG)
            try:
                while not self._ended:
                    await reading.wait()
                    self._take()
            finally:
                reading.close()

    def _take(self) -> list[tuple[Exception | None, Result | None]]:
        answers = self._queue.drain()
        self._ended = self._ended or any(answer.last for answer in answers)
        # Not the answers themselves: a failure that is raised refers to the frame, and so to what the frame
        # holds, and of the core's objects the garbage collector does not know that they refer to the failure.
        return [(answer.error, answer.result) for answer in answers]


class _Readable:
    """Waits again and again until a descriptor can be read. On one event loop.

    The loop goes on to watch it between two waits: to begin and to end that costs more than to take a token.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        self._is_watched = False

    async def wait(self) -> None:
        """Whoever has waited takes all that is there before it waits again. There may be nothing: asyncio's
        own loop tells once more what it has seen before it was taken.
        """
        if not self._is_watched:
            self._told.clear()
            self._loop.add_reader(self._descriptor, self._tell)
            self._is_watched = True
        await self._told.wait()
        self._told.clear()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._descriptor)

    def _tell(self) -> None:
        if self._told.is_set():
            # Nobody has come since the loop has told: it would tell so for ever.
            self.close()
        self._told.set()
