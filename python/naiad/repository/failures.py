"""Loads that failed: what the log, the index and clients are told of them."""

from __future__ import annotations

import logging
from pathlib import Path

from naiad.errors import Internal, InvalidArgument, NaiadError
from naiad.repository.entry import ModelEntry
from naiad.repository.loader import LoadFailed
from naiad.repository.roots import Roots
from naiad.repository.serving import Serving

_log = logging.getLogger("naiad.repository")


class Failures:
    """Any thread that holds the lock of the entry."""

    def __init__(self, serving: Serving, roots: Roots) -> None:
        self._serving = serving
        self._roots = roots

    def of_load(self, entry: ModelEntry, failure: LoadFailed, *roots: Path) -> NaiadError:
        """What is to be raised. What serves goes on. ``roots``: folders whose paths nobody is to see."""
        reason = self.public(failure.error, *roots)
        if not isinstance(failure.error, NaiadError):
            _log.error("loading '%s' failed", entry.name, exc_info=failure.error)
            reason = f"{type(failure.error).__name__}: {reason}"
        _log.error("failed to load '%s': %s", entry.name, reason)
        if not entry.served:
            self._serving.refuse(entry, failure.version, reason)
        # Triton's words, which clients look for: those of a version, or of a load that never came to one.
        text = f"failed to load '{entry.name}': {reason}"
        if failure.version is not None:
            at = f"version {failure.version} is at UNAVAILABLE state"
            text = f"load failed for model '{entry.name}': {at}: {reason}"
        return InvalidArgument(text) if isinstance(failure.error, NaiadError) else Internal(text)

    def refuse(self, entry: ModelEntry, error: NaiadError) -> None:
        """It was asked for, and could not even be found."""
        reason = self.public(error)
        _log.error("failed to load '%s': %s", entry.name, reason)
        entry.wanted = True
        self._serving.refuse(entry, None, reason)

    def public(self, error: Exception, *roots: Path) -> str:
        """Its text, with no place on the server's disk in it."""
        return self._roots.without_paths(str(error), *roots)
