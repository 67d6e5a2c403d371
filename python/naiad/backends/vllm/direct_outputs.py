"""The outputs of one request, sent where the engine gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_ROOM_EVERY_S = 0.005


class DirectOutputs:
    """Takes the place of the task that vLLM wakes for each output of a request: they are sent on by the task
    that reads them from the engine, which saves a change of tasks for each token. The engine's event loop.

    Whoever reads slowly is waited for without the others; the engine goes on, and joins deltas meanwhile.
    """

    def __init__(self, collector: Any, send: Callable[[Any], None], is_full: Callable[[], bool]) -> None:
        """``collector``: what ``AsyncLLM.add_request`` gives. ``send`` is called with each
        ``vllm.RequestOutput``, but while ``is_full`` only with the last.
        """
        self._collector = collector
        self._send = send
        self._is_full = is_full
        self._join = collector.put
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: asyncio.Task[None] | None = None
        collector.put = self._put
        if (early := collector.get_nowait()) is not None:
            self._put(early)

    async def wait(self) -> None:
        """Until the last output has been sent. Raises what the engine gave in place of one, or what ``send``
        raised. Cancelled, nothing more is sent.
        """
        try:
            await self._done
        finally:
            if self._waiting is not None:
                self._waiting.cancel()

    def _put(self, output: Any) -> None:
        # What is raised here would end the engine's reader, and with it all other requests.
        if self._done.done():
            return
        if isinstance(output, Exception):
            self._done.set_exception(output)
        elif self._waiting is not None or (not output.finished and self._is_full()):
            self._join(output)
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_task(self._send_later())
        else:
            self._send_now(output)

    def _send_now(self, output: Any) -> None:
        try:
            self._send(output)
        except Exception as error:
            self._done.set_exception(error)
            return
        if output.finished:
            self._done.set_result(None)

    async def _send_later(self) -> None:
        while self._is_full() and not self._collector.output.finished:
            await asyncio.sleep(_ROOM_EVERY_S)
        self._waiting = None
        if not self._done.done():
            self._send_now(self._collector.get_nowait())
