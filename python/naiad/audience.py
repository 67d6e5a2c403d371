"""Who is told how a server starts: a terminal, say. The server's log is another matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from naiad.repository.served import IndexEntry, LoadedVersion

Index = Callable[[], list[IndexEntry]]
"""All models and their versions' states, as they are now. Any thread."""


class Audience(Protocol):
    """Called on the thread of the event loop; what it does there is short."""

    def loading(self, index: Index) -> AbstractContextManager[None]:
        """Entered before the first model is loaded, left when all are or one failed."""

    def serving(
        self, index: Sequence[IndexEntry], served: Sequence[LoadedVersion], urls: Mapping[str, str]
    ) -> None:
        """The ports are open. ``urls``: "HTTP", "gRPC", "Metrics", "Dashboard", those that are served."""

    def failed(self, error: Exception) -> None:
        """The server can not start."""

    def ending(self) -> None:
        """The process ends at once, with no further word."""


class Silent:
    """Nobody; or somebody who is told a part of it only."""

    def loading(self, index: Index) -> AbstractContextManager[None]:
        del index
        return nullcontext()

    def serving(
        self, index: Sequence[IndexEntry], served: Sequence[LoadedVersion], urls: Mapping[str, str]
    ) -> None:
        pass

    def failed(self, error: Exception) -> None:
        pass

    def ending(self) -> None:
        pass
