"""The event loop on which an instance runs an ``async def execute``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Coroutines:
    """An event loop on a thread of its own, for the coroutines of one instance. Any thread but the loop's."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``name``: of the instance, for the thread. ``loop``: to be used in place of a plain one."""
        self._loop = loop or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{name} async", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs it and gives what it returned. Blocks."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def start(self, coroutine: Coroutine[Any, Any, Any], failed: Callable[[BaseException], None]) -> None:
        """Runs it beside others; ``failed`` is called on the loop's thread with what it raised."""

        async def watched() -> None:
            try:
                await coroutine
            except (Exception, SystemExit) as error:
                failed(error)

        asyncio.run_coroutine_threadsafe(watched(), self._loop)

    def close(self) -> None:
        """Cancels what still runs and ends the thread. Blocks until it has ended."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _cancel() -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
