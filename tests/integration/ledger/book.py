"""The ledger: every request has a number, and ends exactly once.

A client ``open``\\ s a number before it sends, and ``enter``\\ s what came of it. What is never entered is
lost, what is entered twice is doubled, and an answer that is not the computable one is wrong.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum


class Outcome(IntEnum):
    """What came of a request. LOST is what there is until something else is entered."""

    LOST = 0
    RIGHT = 1
    ERROR = 2
    """A typed error that was to be expected."""
    CANCELLED = 3
    """The client gave it up."""
    UNSENT = 4
    """The server took no connection, or had said that this one ends."""
    WRONG = 5
    """Another answer than the right one, or an error that nothing explains."""


@dataclass(frozen=True)
class Failure:
    """An error as a client sees it: the status of HTTP or gRPC, ``gone`` when a connection ended without an
    answer, ``unsent`` when there was none."""

    code: str
    text: str = ""


class Ledger:
    """Thread-safe. ``problems`` has the first words of what went wrong."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes = bytearray()
        self.num_doubled = 0
        self.problems: list[str] = []
        self.errors: Counter[str] = Counter()
        self.rights: Counter[str] = Counter()
        """By model: what its statistics must know of."""

    def open(self) -> int:
        with self._lock:
            self._outcomes.append(Outcome.LOST)
            return len(self._outcomes) - 1

    def enter(self, number: int, outcome: Outcome, what: str = "", model: str = "") -> None:
        with self._lock:
            if self._outcomes[number] != Outcome.LOST:
                self.num_doubled += 1
            self._outcomes[number] = outcome
            if outcome is Outcome.RIGHT:
                self.rights[model] += 1
            elif outcome is Outcome.ERROR:
                self.errors[what] += 1
            elif outcome is Outcome.WRONG and len(self.problems) < 10:
                self.problems.append(f"request {number}: {what}")

    def count(self, outcome: Outcome) -> int:
        with self._lock:
            return self._outcomes.count(outcome)

    @property
    def size(self) -> int:
        return len(self._outcomes)

    def check(self) -> None:
        """No client may be at work any more."""
        bad = (self.count(Outcome.LOST), self.num_doubled, self.count(Outcome.WRONG))
        assert bad == (0, 0, 0), f"{self}\n" + "\n".join(self.problems)

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(each)} {each.name.lower()}" for each in Outcome)
        return f"{self.size} requests: {counts}, {self.num_doubled} doubled"
