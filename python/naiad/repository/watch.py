"""Poll mode: what appears in the repositories is loaded, what changes loaded again, what goes is unloaded.

A model is taken only when it holds still: two looks in a row, a while apart, find the same files with the
same sizes and times, and no process has one of them open for writing. So a model that is being copied is not
served half.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from naiad.errors import NaiadError
from naiad.repository.fingerprint import Fingerprint, files_below, fingerprint_of
from naiad.repository.scan import scan

_log = logging.getLogger("naiad.repository")

SETTLE_S = 0.5
"""Between the two looks."""


class Loads(Protocol):
    """What the watch needs of the repository. Any thread."""

    def load_if_still(self, name: str, seen: Fingerprint) -> None: ...
    def unload(self, name: str) -> None: ...
    def tried(self, name: str) -> Fingerprint | None: ...
    def wanted(self) -> list[str]: ...


@dataclass(frozen=True)
class _Look:
    """A model's directory at one moment."""

    files: Fingerprint
    changed_ns: int
    """When something about a file was changed last, be it a time that was set back."""
    is_written: bool
    """A process has a file open for writing."""


class RepositoryWatch:
    """Keeps what is served as the repositories are. ``look`` on one thread at a time."""

    def __init__(
        self,
        repository: Loads,
        roots: Sequence[Path],
        *,
        linked: Path | None = None,
        namespacing: bool = False,
        poll_s: float,
        load_threads: int = 4,
        refresh: Callable[[bool], None] = lambda settled: None,
        listen: Callable[[Sequence[Path], Callable[[], None], threading.Event], None] | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        """``linked``, ``namespacing``: as of ``scan``. ``refresh`` is called before each look: by ``begin``
        with False, by ``look`` with True, for what has held still since the last call only. It may raise
        NaiadError.
        ``listen`` blocks until the event is set, and calls back whenever something changes below the roots:
        then the next look is soon.
        """
        self._repository = repository
        self._roots = tuple(roots)
        self._linked = linked
        self._namespacing = namespacing
        self._poll_s = poll_s
        self._load_threads = load_threads
        self._refresh = refresh
        self._listen = listen
        self._settle_s = settle_s
        self._seen: dict[str, _Look] = {}
        self._told: set[str] = set()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self) -> frozenset[str]:
        """Looks twice and loads nothing: the names of the models that do not hold still yet. Raises
        NaiadError for a repository that is not there.
        """
        self._refresh(False)
        first = self._looks()
        if not any(look.is_written for look in first.values()):
            self._stopped.wait(self._settle_s)
        self._seen = self._looks()
        moving = frozenset(
            name for name, look in self._seen.items() if look.is_written or first.get(name) != look
        )
        for name in sorted(moving):
            _log.info("'%s' is being written: it is loaded when it holds still", name)
        return moving

    def look(self) -> bool:
        """Loads and unloads what has held still since the last look. Blocks until that is done. Whether there
        is more that may hold still soon.
        """
        try:
            self._refresh(True)
            now = self._looks()
        except (NaiadError, OSError) as error:
            # Nothing is unloaded because a disk is away for a while.
            self._tell(f"the model repositories can not be looked at: {_reason(error)}")
            return False
        before, self._seen = self._seen, now
        to_load: list[str] = []
        unsettled = False
        for name, look in now.items():
            if look is _REFUSED or self._repository.tried(name) == look.files:
                continue
            if look.is_written or before.get(name) != look:
                unsettled = True
            else:
                to_load.append(name)
        gone = [name for name in self._repository.wanted() if name not in now]
        to_unload = [name for name in gone if name not in before]
        for name in to_unload:
            self._unload(name)
        if to_load:
            with ThreadPoolExecutor(self._load_threads, thread_name_prefix="naiad-load") as pool:
                list(pool.map(self._load, to_load))
        return unsettled or len(gone) > len(to_unload)

    def start(self) -> None:
        """Looks from now on, on a thread of its own."""
        self._threads.append(threading.Thread(target=self._run, name="naiad-watch", daemon=True))
        if self._listen is not None:
            arguments = (self._roots, self._wake.set, self._stopped)
            self._threads.append(
                threading.Thread(target=self._listen, args=arguments, name="naiad-inotify", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    def call_off(self) -> None:
        """Looks no more, once a look that is under way is done. Never blocks."""
        self._stopped.set()
        self._wake.set()

    def stop(self) -> None:
        """Looks no more. Blocks until a look that is under way is done. Idempotent."""
        self.call_off()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        soon = False
        while not self._stopped.is_set():
            if soon:
                self._stopped.wait(self._settle_s)
            elif self._wake.wait(self._poll_s):
                # Whatever changed goes on changing for a moment.
                self._stopped.wait(self._settle_s / 2)
            self._wake.clear()
            if self._stopped.is_set():
                return
            try:
                soon = self.look()
            except Exception:
                _log.exception("looking at the model repositories failed")
                soon = False

    def _looks(self) -> dict[str, _Look]:
        found = scan(self._roots, linked=self._linked, namespacing=self._namespacing)
        for name, error in found.refused.items():
            self._tell(f"'{name}' is not taken: {error}")
        looks: dict[str, _Look] = {}
        for name, directory in found.models.items():
            looks[name] = _look_at(directory.path)
        # What is refused is there: it is neither loaded nor taken away.
        return looks | dict.fromkeys(found.refused, _REFUSED)

    def _load(self, name: str) -> None:
        try:
            self._repository.load_if_still(name, self._seen[name].files)
        except NaiadError as error:
            self._tell(f"'{name}' is not loaded: {error}")

    def _unload(self, name: str) -> None:
        _log.info("'%s' is not in the model repositories any more", name)
        try:
            self._repository.unload(name)
        except NaiadError as error:
            self._tell(f"'{name}' is not unloaded: {error}")

    def _tell(self, text: str) -> None:
        """Once: what does not change is found at every look."""
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)


_REFUSED = _Look((None, frozenset()), 0, is_written=False)


def _look_at(directory: Path) -> _Look:
    files = list(files_below(directory))
    return _Look(
        fingerprint_of(files, None),
        max((status.st_ctime_ns for _, status in files), default=0),
        any(has_writer(os.path.join(directory, name)) for name, _ in files),  # noqa: PTH118 - many of them
    )


def has_writer(path: str) -> bool:
    """Whether a process of this machine has the file open for writing, as far as the system tells: it does of
    files of one's own on local disks.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A read lease is given only when nobody writes.
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(file)
    return False


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
