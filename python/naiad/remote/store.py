"""One repository elsewhere as names and bytes, through fsspec."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument, NaiadError, NotFound, Unavailable, Unsupported
from naiad.remote.address import Address

_log = logging.getLogger("naiad.remote")

MAX_FILES = 100_000
MAX_DEPTH = 16
_EXTRAS = {"s3": "s3", "gs": "gcs", "as": "azure", "http": "http"}
_STAMPS = (
    "ETag",
    "etag",
    "Content-MD5",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
)

Stamp = tuple[int, str]
"""Size in bytes (-1: not told), and what changes when the content does."""


class Store:
    """Any thread."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        """Raises Unsupported without the library for it, Unavailable when it can not be opened."""
        self._address = address
        self._fs = _open(address, options)

    def models(self) -> list[str]:
        """The folders in it. Raises NotFound when it is not there, Unavailable."""
        entries = self._asked(lambda: self._fs.ls(self._address.path, detail=True))
        names = []
        for entry in entries:
            name = _last(entry["name"])
            if entry["type"] == "directory" and name and not name.startswith((".", "?")):
                names.append(name)
        return sorted(set(names))

    def files(self, model: str) -> dict[str, Stamp]:
        """The files of a model by their paths in its folder; none when it is not there.

        Raises InvalidArgument for a name that can not be that of a file below, Unavailable.
        """
        base = f"{self._address.path}/{model}"
        try:
            found = self._asked(lambda: self._find(base))
        except NotFound:
            return {}
        files = {}
        for path, entry in found.items():
            relative = path.split("://")[-1].lstrip("/").removeprefix(base.split("://")[-1].lstrip("/") + "/")
            if relative == "" or relative.endswith("/"):
                continue  # what stands for a folder
            _check(model, relative)
            files[relative] = _stamp(entry)
        if len(files) > MAX_FILES:
            raise InvalidArgument(f"model '{model}' has {len(files)} files, at most {MAX_FILES} are taken")
        return files

    def download(self, model: str, file: str, target: Path) -> None:
        """Raises Unavailable."""
        self._asked(lambda: self._fs.get_file(f"{self._address.path}/{model}/{file}", str(target)))

    def _find(self, base: str) -> dict[str, Any]:
        if self._address.kind != "http":
            return dict(self._fs.find(base, detail=True))
        return self._walk(f"{base}/", 0)

    def _walk(self, folder: str, depth: int) -> dict[str, Any]:
        """By the links of a server's lists of files."""
        if depth > MAX_DEPTH:
            raise InvalidArgument("folders are nested too deeply")
        found: dict[str, Any] = {}
        for name in self._fs.ls(folder, detail=False):
            name = f"{folder.rstrip('/')}/{_last(name)}" + ("/" if name.endswith("/") else "")
            if "?" in name or "#" in name or name == folder:
                continue  # other orders of the same list
            if name.endswith("/"):
                found |= self._walk(name, depth + 1)
            else:
                found[name] = self._fs.info(name)
            if len(found) > MAX_FILES:
                break
        return found

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """The libraries fail in many ways, and some say more than a client should read."""
        try:
            self._fs.invalidate_cache()
            return ask()
        except NaiadError:
            raise
        except FileNotFoundError:
            raise NotFound(
                f"the {self._address.kind} model repository, or a file of it, is not there"
            ) from None
        except Exception as error:
            _log.error("model repository '%s': %s: %s", self._address.text, type(error).__name__, error)
            raise Unavailable(
                f"the {self._address.kind} model repository can not be read: {type(error).__name__}"
            ) from error


def _open(address: Address, options: dict[str, Any]) -> Any:
    plain = {"skip_instance_cache": True, "use_listings_cache": False}
    try:
        if address.kind == "s3":
            import s3fs

            return s3fs.S3FileSystem(**plain, **options)
        if address.kind == "gs":
            import gcsfs

            return gcsfs.GCSFileSystem(**plain, **options)
        if address.kind == "as":
            import adlfs

            return adlfs.AzureBlobFileSystem(**plain, **options)
        from fsspec.implementations.http import HTTPFileSystem

        return HTTPFileSystem(**plain, **options)
    except ImportError as error:
        extra = _EXTRAS[address.kind]
        raise Unsupported(
            f"a model repository at {address.kind}:// needs {error.name}: pip install 'naiad[{extra}]'"
        ) from None
    except Exception as error:
        _log.error("model repository '%s': %s: %s", address.text, type(error).__name__, error)
        raise Unavailable(
            f"the {address.kind} model repository can not be opened: {type(error).__name__}"
        ) from error


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _check(model: str, relative: str) -> None:
    parts = relative.split("/")
    if (
        len(parts) > MAX_DEPTH
        or any(part in ("", ".", "..") or not part.isprintable() for part in parts)
        or any(len(part.encode()) > 255 or "\\" in part for part in parts)
    ):
        raise InvalidArgument(
            f"model '{model}' has a file with the name {relative[:100]!r}, which can not be taken"
        )


def _stamp(entry: dict[str, Any]) -> Stamp:
    size = entry.get("size")
    marks = (str(entry[key]) for key in _STAMPS if entry.get(key))
    return (-1 if size is None else int(size), next(marks, ""))
