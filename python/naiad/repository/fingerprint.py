"""Whether a model directory changed since it was loaded."""

from __future__ import annotations

import os
from pathlib import Path

Fingerprint = tuple[str | None, frozenset[tuple[str, int, int]]]
"""The configuration given in place of config.pbtxt; and of every file its name, size and time of change."""


def fingerprint(directory: Path, config_json: str | None) -> Fingerprint:
    """Equal for equal contents, as far as names, sizes and times tell. Python's byte code does not count."""
    seen = set()
    for parent, folders, names in os.walk(directory, followlinks=True):
        folders[:] = [folder for folder in folders if folder != "__pycache__"]
        for name in names:
            path = Path(parent, name)
            try:
                status = path.stat()
            except OSError:
                continue  # gone since it was listed, or a link to nothing
            seen.add((str(path.relative_to(directory)), status.st_size, status.st_mtime_ns))
    return config_json, frozenset(seen)
