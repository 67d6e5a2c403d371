"""Which failures explain that a request was not answered right."""

from __future__ import annotations

from collections.abc import Callable

from .book import Failure

Allowed = Callable[[Failure], bool]


def nothing(failure: Failure) -> bool:
    """In calm: each request that is right gets its answer."""
    return False


def stopping(failure: Failure) -> bool:
    """What a server says that drains."""
    return failure.code in ("503", "UNAVAILABLE") and "Server is stopping" in failure.text


def worker_killed(failure: Failure) -> bool:
    """What is said of a batch whose worker has ended, and of those that found none."""
    return failure.code in ("500", "503", "INTERNAL", "UNAVAILABLE") and "its worker" in failure.text


def not_loaded(failure: Failure) -> bool:
    """What is said of a model that was unloaded."""
    return failure.code in ("400", "404", "503", "NOT_FOUND", "UNAVAILABLE") and (
        "unknown model" in failure.text or "is not ready" in failure.text or "unloaded" in failure.text
    )
