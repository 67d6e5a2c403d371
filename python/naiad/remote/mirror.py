"""A local copy of one repository: whole models, each as it was at one moment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from naiad.errors import NaiadError, NotFound, Unavailable
from naiad.remote.store import Stamp

_log = logging.getLogger("naiad.remote")

_SNAPSHOTS = ".snapshots"
_DOWNLOADS = 8
_LIST = ".files.json"
"""Beside the files of a snapshot: what they were like where they come from."""

Files = Mapping[str, Stamp]


class Source(Protocol):
    """Where models are copied from. Any thread; raises NaiadError."""

    def models(self) -> list[str]: ...
    def files(self, model: str) -> dict[str, Stamp]: ...
    def download(self, model: str, file: str, target: Path) -> None: ...


class Mirror:
    """``<directory>/<model>`` is a link to a folder that never changes: a new state of the model is another
    folder, and the link changes in one step. Any thread.
    """

    def __init__(
        self, source: Source, directory: Path, in_use: Callable[[], Collection[Path]] = tuple
    ) -> None:
        """``in_use``: folders of models that are served, which are kept."""
        self.directory = directory
        self._source = source
        self._in_use = in_use
        self._lock = threading.Lock()
        self._seen: dict[str, Files] = {}
        (directory / _SNAPSHOTS).mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Of the models in the source. Raises NaiadError."""
        return self._source.models()

    def copy(self, model: str) -> None:
        """Brings the copy of one model up to date; without a model the copy goes. Raises NaiadError."""
        files = self._source.files(model)
        with self._lock:
            if files:
                self._take(model, files)
            else:
                self._drop(model)

    def copy_all(self) -> None:
        """Of all models. One that can not be copied is logged and leaves the others alone; its old copy
        stays. Raises NaiadError when the source can not be read at all.
        """
        names = self._source.models()
        for name in names:
            self._try(self.copy, name)
        self._drop_others(names)

    def follow(self) -> None:
        """As ``copy_all``, but for models that are not as they were at the last call: those may be in the
        middle of a change.
        """
        names = self._source.models()
        seen: dict[str, Files] = {}
        for name in names:
            files = self._try(self._source.files, name)
            if files is None:
                continue
            seen[name] = files
            if self._seen.get(name) == files:
                self._try(self._take_locked, name, files)
        before, self._seen = self._seen, seen
        # What has gone has been away for two looks.
        self._drop_others({*names, *before})

    def _take_locked(self, model: str, files: Files) -> None:
        with self._lock:
            self._take(model, files)

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except NaiadError as error:
            _log.error("model '%s' is not copied: %s", arguments[0], error)
            return None

    def _take(self, model: str, files: Files) -> None:
        link = self.directory / model
        old = link.resolve() if link.exists() else None
        known = _read_list(old) if old is not None else {}
        if known == dict(files):
            return
        missing = {file: stamp for file, stamp in files.items() if not _same(stamp, known.get(file))}
        self._check_room(model, missing)
        snapshot = self._new_folder(model)
        try:
            for file in files:
                (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
                if file not in missing and old is not None:
                    # The same file, with its times: a version that did not change is not loaded again.
                    os.link(old / file, snapshot / file)
            with ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="naiad-download") as pool:
                list(pool.map(lambda file: self._source.download(model, file, snapshot / file), missing))
            for file, (size, _) in missing.items():
                got = (snapshot / file).stat().st_size
                if size >= 0 and got != size:
                    raise Unavailable(f"file '{file}' of model '{model}' has {got} bytes, expected {size}")
            if dict(self._source.files(model)) != dict(files):
                raise Unavailable(f"model '{model}' changed while it was copied")
            _write_list(snapshot, files)
            _point(link, snapshot)
        except OSError as error:
            shutil.rmtree(snapshot, ignore_errors=True)
            raise Unavailable(f"model '{model}' can not be copied: {error.strerror}") from None
        except BaseException:
            shutil.rmtree(snapshot, ignore_errors=True)
            raise
        _log.info("copied model '%s': %d files, %d of them new", model, len(files), len(missing))
        self._clean(model, old)

    def _check_room(self, model: str, missing: Files) -> None:
        needed = sum(size for size, _ in missing.values() if size > 0)
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise Unavailable(
                f"model '{model}' needs {needed} bytes, {free} are free where models are copied to"
            )

    def _new_folder(self, model: str) -> Path:
        parent = self.directory / _SNAPSHOTS / model
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(each.name) for each in parent.iterdir() if each.name.isdecimal()), default=0)
        folder = parent / str(number + 1)
        folder.mkdir()
        return folder

    def _drop_others(self, names: Collection[str]) -> None:
        for link in self.directory.iterdir():
            if not link.name.startswith(".") and link.name not in names:
                with self._lock:
                    self._drop(link.name)

    def _drop(self, model: str) -> None:
        link = self.directory / model
        if link.is_symlink():
            link.unlink()
            _log.info("model '%s' is not in its repository any more", model)
        self._clean(model)

    def _clean(self, model: str, last: Path | None = None) -> None:
        """Takes away snapshots that are neither served nor the newest nor the one before that: ``last``,
        which a model may be loaded from just now.
        """
        link = self.directory / model
        keep = {path.resolve() for path in self._in_use()} | ({link.resolve()} if link.exists() else set())
        parent = self.directory / _SNAPSHOTS / model
        for folder in list(parent.iterdir()) if parent.is_dir() else ():
            if folder.is_dir() and folder.resolve() not in keep and folder.resolve() != last:
                shutil.rmtree(folder, ignore_errors=True)
                (parent / f"{folder.name}{_LIST}").unlink(missing_ok=True)


def _same(stamp: Stamp, other: Stamp | None) -> bool:
    """Where nothing tells of a change there may be one."""
    return stamp == other and stamp[1] != ""


def _read_list(snapshot: Path) -> dict[str, Stamp]:
    try:
        entries = json.loads((snapshot.parent / f"{snapshot.name}{_LIST}").read_bytes())
        return {file: (int(size), str(mark)) for file, (size, mark) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # of a copy that was cut off


def _write_list(snapshot: Path, files: Files) -> None:
    (snapshot.parent / f"{snapshot.name}{_LIST}").write_text(json.dumps(dict(files)))


def _point(link: Path, snapshot: Path) -> None:
    """In one step: who opens the link finds the old folder or the new one."""
    new = link.parent / f".{link.name}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(snapshot)
    new.replace(link)


def check_there(mirror: Mirror) -> None:
    """Raises NotFound when nothing is where the repository should be, Unavailable."""
    try:
        mirror.names()
    except NotFound:
        raise NotFound("a model repository is not there") from None
