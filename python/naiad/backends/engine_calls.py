"""Calls of models to other models, through the core: the same in a server and in its workers."""

from __future__ import annotations

import asyncio
import select
import threading
import weakref
from collections import deque
from typing import Self

from naiad.backends.services import AnswerStream, GivenTensor, ModelAnswer, ModelCall
from naiad.engine import (
    CompletionQueue,
    Engine,
    LocalAnswer,
    LocalRequest,
    Result,
    run_local,
)
from naiad.errors import Internal, NaiadError

_TAG = 1
_LOOK_EVERY_S = 0.02
"""How long a call goes on before it is looked whether its caller still wants it."""


class EngineCalls:
    """Sends the calls of models to the engine. Any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopCalls] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    def call(self, call: ModelCall) -> ModelAnswer:
        cancelled = call.batch.cancelled if call.batch is not None else None
        return _shown(run_local(self._engine, self._request(call), cancelled))

    async def call_async(self, call: ModelCall) -> ModelAnswer:
        loop = asyncio.get_running_loop()
        with self._lock:
            calls = self._loops.get(loop)
            if calls is None:
                calls = self._loops[loop] = _LoopCalls(self._engine, loop)
        return await calls.run(self._request(call), call)

    def stream(self, call: ModelCall) -> AnswerStream:
        return _Stream(self._engine, self._request(call, many=True), call)

    def _request(self, call: ModelCall, *, many: bool = False) -> LocalRequest:
        return LocalRequest(
            self._engine,
            call.model,
            call.version,
            call.inputs,
            # By position: to match so many names costs as much as the call itself.
            call.outputs,
            call.request_id,
            call.parameters,
            call.correlation_id,
            call.sequence_start,
            call.sequence_end,
            call.timeout_us,
            many,
            call.batch.instance if call.batch is not None else 0,
            call.trace_number,
        )


class _LoopCalls:
    """The calls of one event loop. The loop's thread."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = CompletionQueue(engine)
        self._waiting: dict[int, asyncio.Future[LocalAnswer]] = {}
        self._last_tag = 0
        loop.add_reader(self._queue.fileno(), self._drain)

    async def run(self, request: LocalRequest, call: ModelCall) -> ModelAnswer:
        self._last_tag += 1
        tag = self._last_tag
        self._queue.submit(tag, request)
        future: asyncio.Future[LocalAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[tag] = future
        try:
            while not (await asyncio.wait({future}, timeout=_LOOK_EVERY_S if call.batch else None))[0]:
                if call.batch is not None and call.batch.cancelled():
                    self._queue.cancel(tag)
            return _shown_answer(future.result())
        finally:
            if self._waiting.pop(tag, None) is not None:
                self._queue.cancel(tag)

    def _drain(self) -> None:
        for answer in self._queue.drain():
            future = self._waiting.pop(answer.tag, None)
            if future is not None and not future.done():
                future.set_result(answer)


class _Stream:
    """One call and its responses, which wait in the core until they are asked for."""

    def __init__(self, engine: Engine, request: LocalRequest, call: ModelCall) -> None:
        self._queue = CompletionQueue(engine)
        self._call = call
        self._there: deque[LocalAnswer] = deque()
        self._ended = False
        self._queue.submit(_TAG, request)
        self._poll = select.poll()
        self._poll.register(self._queue.fileno(), select.POLLIN)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ModelAnswer:
        while not self._there:
            if self._ended:
                raise StopIteration
            timeout_ms = _LOOK_EVERY_S * 1000 if self._call.batch is not None else None
            if not self._poll.poll(timeout_ms):
                if self._call.batch is not None and self._call.batch.cancelled():
                    self.cancel()
                continue
            answers = self._queue.drain()
            self._there.extend(answers)
            self._ended = any(answer.last for answer in answers)
        return _shown_answer(self._there.popleft())

    def cancel(self) -> None:
        self._queue.cancel(_TAG)


def _shown_answer(answer: LocalAnswer) -> ModelAnswer:
    if answer.refused and answer.error is not None:
        raise answer.error
    if answer.error is not None:
        return _shown(answer.error)
    return ModelAnswer() if answer.result is None else _shown(answer.result)


def _shown(outcome: Result | Exception) -> ModelAnswer:
    if isinstance(outcome, Exception):
        return ModelAnswer(error=outcome if isinstance(outcome, NaiadError) else Internal(str(outcome)))
    outputs: list[GivenTensor] = [
        (name, tensor.datatype, tensor.numpy()) for name, tensor in outcome.outputs.items()
    ]
    return ModelAnswer(outputs, outcome.parameters)
