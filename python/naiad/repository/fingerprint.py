"""Whether a model directory changed since it was loaded, and whether two hold the same model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from naiad.repository.scan import CONFIG_FILENAME, CONFIGS_DIRECTORY

Fingerprint = tuple[str | None, frozenset[tuple[str, int, int]]]
"""The configuration given in place of config.pbtxt; and of every file its name, size and time of change."""


def fingerprint(directory: Path, config_json: str | None) -> Fingerprint:
    """Equal for equal contents, as far as names, sizes and times tell. Python's byte code does not count."""
    return fingerprint_of(files_below(directory), config_json)


def fingerprint_of(files: Iterable[tuple[str, os.stat_result]], config_json: str | None) -> Fingerprint:
    """The same, of ``files_below`` a directory."""
    seen = frozenset((name, status.st_size, status.st_mtime_ns) for name, status in files)
    return config_json, seen


def files_below(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files in a directory, by their paths in it, but for Python's byte code."""
    start = os.path.join(directory, "")  # noqa: PTH118 - many of them
    for parent, folders, names in os.walk(directory, followlinks=True):
        folders[:] = [folder for folder in folders if folder != "__pycache__"]
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118
            try:
                yield path.removeprefix(start), os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # gone since it was listed, or a link to nothing


def version_fingerprint(files: Fingerprint, version: int) -> frozenset[tuple[str, int, int]]:
    """Of those files alone that a version is made of: neither the configuration, which is compared as it is
    read, nor what lies in the directories of other versions.
    """
    own = str(version)

    def counts(name: str) -> bool:
        top, slash, _ = name.partition("/")
        other = slash and (top == CONFIGS_DIRECTORY or (top.isdecimal() and top != own))
        return name != CONFIG_FILENAME and not other

    return frozenset(file for file in files[1] if counts(file[0]))


def content_digest(directory: Path, version: int, config: bytes) -> str:
    """Of all that a version of a model is made of: its configuration, and the bytes of the files in its
    directory but for those of other versions and Python's byte code. Reads them all. Raises OSError.
    """
    own = str(version)
    whole = hashlib.sha256()
    for part in (own.encode(), config):
        whole.update(len(part).to_bytes(8, "little") + part)
    for parent, folders, names in os.walk(directory, followlinks=True):
        at_top = Path(parent) == directory
        folders[:] = sorted(
            folder
            for folder in folders
            if folder != "__pycache__" and not (at_top and folder.isdecimal() and folder != own)
        )
        for name in sorted(names):
            if at_top and name == CONFIG_FILENAME:
                continue  # ``config`` is what became of it
            path = Path(parent, name)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            relative = str(path.relative_to(directory)).encode()
            whole.update(len(relative).to_bytes(8, "little") + relative + digest)
    return whole.hexdigest()
