"""Backends in shared libraries of their own: ``libnaiad_<name>.so``, built with ``<naiad/backend.h>``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from naiad.backends.base import Backend, ModelFiles
from naiad.config import ModelConfig

if TYPE_CHECKING:
    from naiad.engine import BackendFactory


class LibraryBackend(Backend):
    """Runs models by the code of a library, in the server's process."""

    option_names = None
    """The library is told all of them."""

    def __init__(self, name: str, library: Path, options: Mapping[str, str]) -> None:
        """``library``: its file. It is loaded when a model first needs it, and stays."""
        super().__init__(options)
        self._name = name
        self._library = library

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """Raises Unavailable for a library that can't be loaded, Unsupported for one of another contract."""
        from naiad.engine import library_factory

        return library_factory(
            str(self._library),
            config_json=json.dumps(config.to_json(), separators=(",", ":")),
            directory=str(files.version_directory),
            options_json=json.dumps(self.options, separators=(",", ":")),
        )


def library_name(backend: str) -> str:
    """The file of a backend's library, in the folder of that backend."""
    return f"libnaiad_{backend}.so"
