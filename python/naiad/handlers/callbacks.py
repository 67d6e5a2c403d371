"""Answers by callback: one thread that waits for the requests of callers which do not."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from naiad.engine import CompletionQueue, Engine, LocalAnswer, Result
from naiad.errors import NaiadError, Stopping

Done = Callable[[Result | NaiadError], object]

_log = logging.getLogger("naiad.callbacks")


class CallbackThread:
    """Submits requests for any thread, and calls back on its own."""

    def __init__(self, engine: Engine) -> None:
        """Starts the thread."""
        self._queue = CompletionQueue(engine)
        self._lock = threading.Lock()
        self._waiting: dict[int, Done] = {}
        self._last_tag = 0
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="naiad-callbacks", daemon=True)
        self._thread.start()

    def submit(
        self, model: str, version: str, inputs: Mapping[str, Any], outputs: Sequence[str], done: Done
    ) -> None:
        """Queues a request; ``done`` gets its result or failure. Raises when it is refused. Any thread."""
        with self._lock:
            if self._closing:
                raise Stopping("the server is closed")
            self._last_tag += 1
            tag = self._last_tag
            self._waiting[tag] = done
        try:
            self._queue.submit_local(tag, model, version, inputs, outputs=outputs)
        except BaseException:
            with self._lock:
                del self._waiting[tag]
            raise

    def close(self) -> None:
        """Takes no more, waits until all have been called back. Not from a callback."""
        with self._lock:
            self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._queue.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            with self._lock:
                if self._closing and not self._waiting:
                    return
                if self._closing:
                    poll.modify(self._wake, 0)
            poll.poll()
            for answer in self._queue.drain():
                if isinstance(answer, LocalAnswer):
                    self._call(answer)

    def _call(self, answer: LocalAnswer) -> None:
        with self._lock:
            done = self._waiting.pop(answer.tag)
        outcome = answer.result if answer.error is None else answer.error
        assert isinstance(outcome, (Result, NaiadError))
        try:
            done(outcome)
        except Exception:
            _log.exception("a callback of an inference request failed")
