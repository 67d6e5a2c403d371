"""The level under which workers log nothing: a byte that the server writes and all its workers read, so that
a change acts in processes that run already.
"""

from __future__ import annotations

import functools
import logging
import mmap
import os


class SharedLevel:
    """A level of ``logging`` in memory that other processes inherit by ``fd``. Any thread."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._byte = mmap.mmap(fd, mmap.PAGESIZE)

    @classmethod
    def make(cls) -> SharedLevel:
        """A new one. Raises OSError."""
        fd = os.memfd_create("naiad-log-level", os.MFD_CLOEXEC)
        os.ftruncate(fd, mmap.PAGESIZE)
        level = cls(fd)
        level.set(logging.INFO)
        return level

    def set(self, level: int) -> None:
        """Of a server, for its workers."""
        self._byte[0] = level

    def allows(self, record: logging.LogRecord) -> bool:
        """A filter for handlers."""
        return record.levelno >= self._byte[0]


@functools.cache
def level_of_workers() -> SharedLevel:
    """The one of this process' workers, as its log is one."""
    return SharedLevel.make()
