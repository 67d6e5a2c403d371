"""The error of what can not be served as it is."""

from __future__ import annotations

from naiad.errors import InvalidArgument


class Unservable(InvalidArgument):
    """What was named can not be served. For the person at the terminal: the message may hold paths.

    ``next_step``: one sentence, what to do about it.
    """

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step
