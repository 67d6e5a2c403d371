"""Files of a model that come with the request to load it: they take the place of what the repository has."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from naiad.errors import InvalidArgument, Unavailable
from naiad.repository.scan import ModelDirectory, check_model_name, read_model

MAX_FILES = 1024
MAX_DEPTH = 16
MAX_NAME_BYTES = 255

_PREFIX = "naiad-model-"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OverrideFolder:
    """The files of one load in a private temporary folder. Not thread-safe."""

    def __init__(self, name: str, files: Mapping[str, bytes], namespace: str = "") -> None:
        """Writes ``files``: ``<version>/<path>`` -> content.

        Raises InvalidArgument for a name or a path that does not lead into the folder, Unavailable when they
        can not be written; nothing is left then.
        """
        check_model_name(name)
        paths = {path: _parts(name, path) for path in files}
        if len(paths) > MAX_FILES:
            raise InvalidArgument(
                f"load of '{name}': {len(paths)} files are given, at most {MAX_FILES} are taken"
            )
        self._name = name
        self._namespace = namespace
        # Only for this user: mkdtemp.
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        try:
            (self.path / name).mkdir(mode=0o700)
            root = os.open(self.path / name, _FOLDER)
            try:
                for path, parts in paths.items():
                    _write(root, parts, files[path])
            finally:
                os.close(root)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            self.remove()
            raise InvalidArgument(
                f"load of '{name}': two of the given files have the same path, or one lies in another one"
            ) from None
        except OSError as error:
            self.remove()
            raise Unavailable(
                f"load of '{name}': the given files can not be written: {error.strerror}"
            ) from None

    def directory(self) -> ModelDirectory:
        """The model as it lies there."""
        return read_model(self.path, self._name, namespace=self._namespace)

    def remove(self) -> None:
        """Takes the files away. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)


def _parts(name: str, path: str) -> tuple[str, ...]:
    """The components of a relative path. Raises InvalidArgument for one that leads elsewhere."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    leaves = path.startswith("/") or ".." in parts
    is_folder = not parts or path.endswith(("/", "/."))
    bad_name = any(not part.isprintable() or len(part.encode()) > MAX_NAME_BYTES for part in parts)
    if leaves or is_folder or bad_name or len(parts) > MAX_DEPTH:
        shown = path if len(path) <= 64 else path[:64] + "..."
        raise InvalidArgument(
            f"load of '{name}': {shown!r} should be the path of a file inside of the model: <version>/<file>"
        )
    return parts


def _write(root: int, parts: tuple[str, ...], content: bytes) -> None:
    """Walks down from folder to folder by descriptors: no link is followed. Raises OSError."""
    folder = os.dup(root)
    try:
        for part in parts[:-1]:
            with contextlib.suppress(FileExistsError):  # of another file; if it is no folder, open refuses it
                os.mkdir(part, mode=0o700, dir_fd=folder)
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(parts[-1], _NEW_FILE, mode=0o600, dir_fd=folder)
        with os.fdopen(file, "wb") as out:
            out.write(content)
    finally:
        os.close(folder)
