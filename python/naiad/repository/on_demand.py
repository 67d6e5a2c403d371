"""Models that are loaded when the first request for them comes: the side of Python of what the core parks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from typing import Protocol

from naiad.errors import NaiadError

_log = logging.getLogger("naiad.repository")


class ParkedRequests(Protocol):
    """The core's ``Summons``. Any thread."""

    def allow(self, names: set[str]) -> None: ...
    def take(self) -> str | None: ...
    def answer(self, name: str, failure: str | None = None) -> None: ...
    def close(self) -> None: ...
    @property
    def num_parked(self) -> int: ...


class Loads(Protocol):
    """What is needed of the repository. Any thread."""

    def summon(self, name: str) -> None: ...
    def summonable(self) -> Collection[str]: ...


class OnDemand:
    """Threads that load what requests wait for, and one that looks for new models."""

    def __init__(
        self, summons: ParkedRequests, repository: Loads, *, load_threads: int = 4, poll_s: float = 15.0
    ) -> None:
        """``poll_s``: between two looks at the repositories for models that came or went."""
        self._summons = summons
        self._repository = repository
        self._load_threads = load_threads
        self._poll_s = poll_s
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def look(self) -> None:
        """Takes note of the models that there are now. Raises NaiadError."""
        self._summons.allow(set(self._repository.summonable()))

    def num_parked(self) -> int:
        """Requests that wait now."""
        return self._summons.num_parked

    def start(self) -> None:
        """Loads what requests want from now on. Raises NaiadError for a repository that is not there."""
        self.look()
        targets = [self._load_wanted] * max(1, self._load_threads)
        for number, target in enumerate((self._keep_looking, *targets)):
            thread = threading.Thread(target=target, name=f"naiad-demand-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Fails the requests that wait, and loads no more. Blocks while loads are under way. Idempotent."""
        self._stopped.set()
        self._summons.close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _load_wanted(self) -> None:
        while (name := self._summons.take()) is not None:
            failure: str | None = None
            try:
                self._repository.summon(name)
            except NaiadError as error:
                failure = error.message
            except Exception as error:
                _log.exception("loading '%s' failed", name)
                failure = f"load failed for model '{name}': {type(error).__name__}"
            self._summons.answer(name, failure)

    def _keep_looking(self) -> None:
        told = ""
        while not self._stopped.wait(self._poll_s):
            try:
                self.look()
                told = ""
            except (NaiadError, OSError) as error:
                # What was there stays: a disk may be away for a while.
                reason = str(error) if isinstance(error, NaiadError) else type(error).__name__
                if reason != told:
                    _log.warning("the model repositories can not be looked at: %s", reason)
                told = reason
