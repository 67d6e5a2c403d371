"""The models that a replica holds on demand: none is ended while a request is on its way to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Resident:
    """One loaded model, in the form that Serve's multiplexing wants: it ends by ``__del__``.

    ``in_use`` belongs on the thread of the event loop; ``__del__`` runs on any other one.
    """

    def __init__(self, name: str, end: Callable[[str], None]) -> None:
        """``end`` unloads the model; blocks."""
        self.name = name
        self._end = end
        self._free = threading.Condition()
        self._num_users = 0
        self._is_ended = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Entered in the same step of the event loop in which the model was found."""
        with self._free:
            self._num_users += 1
        try:
            yield
        finally:
            with self._free:
                self._num_users -= 1
                self._free.notify_all()

    def __del__(self) -> None:
        """Waits until no request uses it, then ends it. Idempotent: the interpreter calls it again."""
        if self._is_ended:
            return
        self._is_ended = True
        with self._free:
            self._free.wait_for(lambda: self._num_users == 0)
        self._end(self.name)
