"""Backends whose models share one model.py: ``<backend directory>/<name>/model.py``, as Triton has them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from naiad.backends.base import ModelFiles
from naiad.backends.python.backend import ModelSource, PythonBackend
from naiad.config import ModelConfig


class SharedPythonBackend(PythonBackend):
    """Runs the ``TritonPythonModel`` class of a backend directory for models that hold data alone.

    Such a model sees its own directories as any other (``get_model_dir``, ``initialize``'s args); its imports
    are looked for beside the shared file first.
    """

    directory: ClassVar[Path]
    """Of the backend."""

    def source(self, config: ModelConfig, files: ModelFiles) -> ModelSource:
        """The shared file."""
        del config
        return ModelSource(
            self.directory / self.default_filename, (self.directory, files.version_directory, files.directory)
        )


def shared_backend(name: str, directory: Path) -> type[SharedPythonBackend]:
    """The class of the backend called ``name`` in ``directory``."""
    return type(f"SharedPythonBackend_{name}", (SharedPythonBackend,), {"name": name, "directory": directory})
