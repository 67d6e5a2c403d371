"""What several users share and nobody keeps: made for the first, gone with the last."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class MadeOnce(Generic[T]):
    """Things by key, each there while somebody holds it. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: weakref.WeakValueDictionary[Hashable, T] = weakref.WeakValueDictionary()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The one of that key, made now where there is none. Others wait for it. Raises what ``make`` raises,
        and keeps nothing then.
        """
        with self._lock:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = make()
            return made

    def __len__(self) -> int:
        """How many there are now."""
        return len(self._made)
