"""All repositories that lie elsewhere, and where their copies are."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from naiad.errors import NaiadError, Unavailable
from naiad.remote.address import Address, Kind, parse_address
from naiad.remote.credentials import Credentials
from naiad.remote.mirror import Mirror, Source, check_there
from naiad.remote.store import Store

_log = logging.getLogger("naiad.remote")

_NAMES_LAST_S = 2.0

MOUNT_VARIABLES: Mapping[Kind, str] = {
    "s3": "TRITON_AWS_MOUNT_DIRECTORY",
    "gs": "TRITON_GCS_MOUNT_DIRECTORY",
    "as": "TRITON_AZURE_MOUNT_DIRECTORY",
}
"""Triton's: where models of these are copied to."""


class RemoteRepositories:
    """Copies of repositories elsewhere, for a repository of directories. Any thread."""

    def __init__(
        self,
        addresses: Sequence[str],
        cache: Path | None,
        environment: Mapping[str, str],
        open_store: Callable[[Address, Credentials], Source] | None = None,
    ) -> None:
        """``cache``: the copies stay there; None: in a temporary directory, until ``close``.

        Raises InvalidArgument for an address that is none, Unsupported without the library that reaches it,
        NotFound and Unavailable when it can not be read.
        """
        self._temporary: list[Path] = []
        self._served: Callable[[], Collection[Path]] = tuple
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._names_until_s = 0.0
        credentials = Credentials(environment)
        opened = open_store or (lambda address, secrets: Store(address, secrets.options(address)))
        self._mirrors: list[Mirror] = []
        try:
            for text in dict.fromkeys(addresses):
                address = parse_address(text)
                mirror = Mirror(
                    opened(address, credentials), self._place(address, cache, environment), self._in_use
                )
                check_there(mirror)
                self._mirrors.append(mirror)
        except BaseException:
            self.close()
            raise

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where the copies are."""
        return tuple(mirror.directory for mirror in self._mirrors)

    def keep(self, served: Callable[[], Collection[Path]]) -> None:
        """``served`` gives the folders of models that are served: they stay as long as they are."""
        self._served = served

    def names(self) -> frozenset[str]:
        """Of the models that could be copied, as they were a few seconds ago at most. While a repository can
        not be read: those that were there before.
        """
        with self._lock:
            if time.monotonic() >= self._names_until_s:
                try:
                    self._names = frozenset(name for mirror in self._mirrors for name in mirror.names())
                except NaiadError as error:
                    _log.warning("%s", error)
                self._names_until_s = time.monotonic() + _NAMES_LAST_S
            return self._names

    def refresh(self, model: str | None) -> None:
        """Brings the copy of a model, or of all (None), up to date. Raises NaiadError."""
        for mirror in self._mirrors:
            if model is None:
                mirror.copy_all()
            else:
                mirror.copy(model)

    def follow(self, settled: bool) -> None:
        """Of all; ``settled``: only of models that have held still since the last call. Raises NaiadError."""
        for mirror in self._mirrors:
            if settled:
                mirror.follow()
            else:
                mirror.copy_all()

    def close(self) -> None:
        """Takes temporary copies away. Idempotent."""
        with self._lock:
            temporary, self._temporary = self._temporary, []
        for path in temporary:
            shutil.rmtree(path, ignore_errors=True)

    def _in_use(self) -> Collection[Path]:
        return self._served()

    def _place(self, address: Address, cache: Path | None, environment: Mapping[str, str]) -> Path:
        mounted = environment.get(MOUNT_VARIABLES.get(address.kind, ""), "")
        parent = cache or (Path(mounted) if mounted else None)
        try:
            if parent is None:
                path = Path(tempfile.mkdtemp(prefix="naiad-repository-")).resolve()
                self._temporary.append(path)
                return path
            digest = hashlib.sha256(address.text.encode()).hexdigest()[:16]
            path = parent.resolve() / f"{address.kind}-{digest}"
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return path
        except OSError as error:
            raise Unavailable(f"models can not be copied to the cache directory: {error.strerror}") from None
