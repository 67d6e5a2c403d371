"""What lies in the model repositories: model directories and their version directories. Nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.config import is_inside, parse_pbtxt
from naiad.errors import AlreadyExists, ConfigError, InvalidArgument, NaiadError, NotFound
from naiad.repository.beneath import read_beneath
from naiad.repository.namespaces import ambiguity, key_of, namespace_of, public_name

CONFIG_FILENAME = "config.pbtxt"
CONFIGS_DIRECTORY = "configs"
"""Holds further configurations of a model: ``<name>.pbtxt``."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_VERSION = re.compile(r"[1-9][0-9]{0,17}\Z")
"""A positive decimal without leading zeros that fits 63 bits."""


@dataclass(frozen=True)
class ModelDirectory:
    """A model on disk as it was when it was looked at. Paths are for the server only, never for a client."""

    name: str
    """That of its folder."""
    root: Path
    """The repository, symbolic links resolved: nothing outside of it is read. Of a repository whose links may
    lead out of it: the root of the file system."""
    path: Path
    """The model directory, symbolic links resolved."""
    versions: tuple[int, ...]
    """Ascending."""
    namespace: str = ""
    """The number of its repository, where names are looked at within one."""

    @property
    def key(self) -> str:
        """By what it is known."""
        return key_of(self.namespace, self.name)

    def version_path(self, version: int) -> Path:
        """The directory of one of ``versions``."""
        return self.path / str(version)

    def filenames(self) -> tuple[str, ...]:
        """What lies in the lowest version directory, sorted: it tells the backend. Empty without versions."""
        if not self.versions:
            return ()
        return tuple(sorted(entry.name for entry in self.version_path(self.versions[0]).iterdir()))

    def file(self, name: str) -> Path:
        """A file below the model directory, present or not.

        Raises InvalidArgument when its name leaves the directory or a link in it leaves the repository.
        """
        path = (self.path / name).resolve() if is_inside(name) else None
        if path is None or not path.is_relative_to(self.root):
            raise InvalidArgument(f"file '{name}' of model '{self.name}' is outside of the model directory")
        return path

    def read(self, name: str) -> bytes:
        """The bytes of a file below the model directory, which no link leads out of the repository from, were
        it made this moment. Raises InvalidArgument as ``file``, OSError when it can not be read.
        """
        return read_beneath(self.root, self.file(name))

    def read_config(self, config_name: str = "") -> Any | None:
        """The message of the configuration as it is written; None when there is none. Raises ConfigError.

        ``config_name``: configs/<that>.pbtxt is taken where there is one, and config.pbtxt otherwise.
        """
        if config_name:
            custom = self._read_config(f"{CONFIGS_DIRECTORY}/{config_name}.pbtxt")
            if custom is not None:
                return custom
        return self._read_config(CONFIG_FILENAME)

    def _read_config(self, filename: str) -> Any | None:
        name = f"{self.name}/{filename}"
        try:
            text = self.read(filename)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"can not be read: {error.strerror}", file=name) from None
        return parse_pbtxt(text, file=name)


@dataclass(frozen=True)
class Scan:
    """The result of looking at all repositories."""

    models: dict[str, ModelDirectory]
    """By key, sorted."""
    refused: dict[str, NaiadError]
    """Why a directory is not a model that can be loaded, by its key."""


def check_model_name(name: str) -> None:
    """Raises InvalidArgument unless ``name`` can be a directory, a label and a part of a URL all at once."""
    if not _NAME.match(name):
        raise InvalidArgument(
            f"invalid model name {name[:140]!r}: expected 1 to 128 letters, digits, '.', '_' or '-', "
            "of which the first is not '.' or '-'"
        )


def scan(roots: Sequence[Path], *, linked: Path | None = None, namespacing: bool = False) -> Scan:
    """Looks at every model directory of every root. ``linked``: the root whose links may lead out of it.

    Hidden directories and plain files are passed over. Two roots with a model of one name leave none of the
    two, for nothing says which is meant, unless there is ``namespacing``. Raises NotFound for a root that is
    not a directory.
    """
    models: dict[str, ModelDirectory] = {}
    refused: dict[str, NaiadError] = {}
    for index, root in enumerate(_distinct(roots), 1):
        if not root.is_dir():
            raise NotFound(f"model repository {index} is not a directory")
        namespace = str(index) if namespacing else ""
        for entry in sorted(root.iterdir()):
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            key = key_of(namespace, entry.name)
            if key in models or key in refused:
                refused[key] = _twice(entry.name)
                models.pop(key, None)
                continue
            try:
                models[key] = read_model(root, entry.name, linked=linked, namespace=namespace)
            except NaiadError as error:
                refused[key] = error
    return Scan(models=dict(sorted(models.items())), refused=dict(sorted(refused.items())))


def find_keys(roots: Sequence[Path], name: str) -> list[str]:
    """The keys of the models that bear a name, in the order of the roots, with namespacing."""
    check_model_name(name)
    return [
        key_of(str(index), name) for index, root in enumerate(_distinct(roots), 1) if (root / name).is_dir()
    ]


def find_model(
    roots: Sequence[Path], key: str, *, linked: Path | None = None, namespacing: bool = False
) -> ModelDirectory:
    """One model, looked for anew in all roots. Raises InvalidArgument, NotFound or AlreadyExists."""
    name, within = public_name(key), namespace_of(key) if namespacing else ""
    check_model_name(name if namespacing else key)
    found = [
        (root, str(index) if namespacing else "")
        for index, root in enumerate(_distinct(roots), 1)
        if (root / name).is_dir() and within in ("", str(index))
    ]
    if not found:
        raise NotFound(f"model '{key}' is not in the model repository")
    if len(found) > 1:
        raise InvalidArgument(ambiguity(name, len(found))) if namespacing else _twice(name)
    root, namespace = found[0]
    return read_model(root, name, linked=linked, namespace=namespace)


def read_model(root: Path, name: str, *, linked: Path | None = None, namespace: str = "") -> ModelDirectory:
    """Looks at one model directory. ``linked``: the root whose links may lead out of it.

    Raises InvalidArgument for a bad name or a link out of the repository.
    """
    check_model_name(name)
    root = root.resolve()
    path = (root / name).resolve()
    if linked is not None and root == linked.resolve():
        root = Path(root.anchor)
    if not path.is_relative_to(root):
        raise InvalidArgument(f"model '{name}' is a link that leads out of its model repository")
    versions = []
    for entry in path.iterdir():
        if not _VERSION.match(entry.name) or not entry.is_dir():
            continue
        if not entry.resolve().is_relative_to(root):
            raise InvalidArgument(
                f"version {entry.name} of model '{name}' is a link that leads out of its model repository"
            )
        versions.append(int(entry.name))
    return ModelDirectory(
        name=name, root=root, path=path, versions=tuple(sorted(versions)), namespace=namespace
    )


def _twice(name: str) -> AlreadyExists:
    return AlreadyExists(f"model '{name}' is in more than one model repository")


def _distinct(roots: Sequence[Path]) -> list[Path]:
    """The roots as given, without one that is named twice."""
    return list(dict.fromkeys(root.resolve() for root in roots))
