"""Imports model.py files without letting models see each other's modules.

Every version of a model that is loaded becomes a package of its own, ``naiad_model_<n>``: model.py is
``naiad_model_<n>.model`` there, so that relative imports work. An absolute import of a file that lies beside
model.py (``import tokens``) must work too, as in Triton, where each model has a process and its directory on
``sys.path``. In one process such modules would meet in ``sys.modules`` under the same name; so the modules of
a model get an ``__import__`` of their own, which looks for ``tokens`` beside model.py first and knows it as
``naiad_model_<n>.tokens``.

The standard library goes before files beside model.py; they go before installed packages.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import itertools
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices

_PREFIX = "naiad_model_"
_numbers = itertools.count(1)
_SUFFIXES = (*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.EXTENSION_SUFFIXES)


class ModelModules:
    """The modules of one version of a model. Any thread; ``close`` when no instance is left."""

    def __init__(
        self,
        directories: Sequence[Path],
        services: ModelServices | None = None,
        *,
        model_directory: Path | None = None,
    ) -> None:
        """``directories``: where its own modules lie, the version directory first. ``services``: for the
        threads that the model starts. ``model_directory``: the version directory, where it is not the first.
        """
        self._directories = [str(directory) for directory in directories]
        self.package = f"{_PREFIX}{next(_numbers)}"
        root = ModuleType(self.package)
        root.__path__ = self._directories
        root.__naiad_directory__ = str(model_directory or directories[0])  # type: ignore[attr-defined]
        root.__naiad_services__ = services  # type: ignore[attr-defined]
        self._builtins = dict(vars(builtins), __import__=self._import)
        self._own: dict[str, bool] = {}
        _finder.add(self.package, self._builtins)
        sys.modules[self.package] = root

    def connect(self, services: ModelServices | None) -> None:
        """Gives ``services`` to modules that were made without."""
        sys.modules[self.package].__naiad_services__ = services  # type: ignore[attr-defined]

    def load(self, file: Path) -> ModuleType:
        """Runs the model's file as a module, from its source. Raises what the file raises."""
        name = f"{self.package}.{file.stem}"
        loader = _SourceLoader(name, str(file), self._builtins)
        spec = importlib.util.spec_from_file_location(name, file, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def close(self) -> None:
        """Forgets the modules. Objects that are still in use live on."""
        _finder.remove(self.package)
        for name in [
            name for name in sys.modules if name == self.package or name.startswith(f"{self.package}.")
        ]:
            sys.modules.pop(name, None)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """``__import__`` of the model's modules."""
        if level == 0:
            top = name.partition(".")[0]
            if self._is_own(top):
                module = builtins.__import__(
                    f"{self.package}.{name}", globals, locals, fromlist or ("__name__",), 0
                )
                return module if fromlist else sys.modules[f"{self.package}.{top}"]
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    def _is_own(self, top: str) -> bool:
        known = self._own.get(top)
        if known is None:
            known = self._own[top] = top not in sys.stdlib_module_names and self._lies_beside(top)
        return known

    def _lies_beside(self, top: str) -> bool:
        for directory in map(Path, self._directories):
            if any((directory / f"{top}{suffix}").is_file() for suffix in _SUFFIXES):
                return True
            if (directory / top / "__init__.py").is_file():
                return True
        # A directory without __init__.py, often data, is a package only if nothing else has that name.
        return (
            any((Path(d) / top).is_dir() for d in self._directories) and importlib.util.find_spec(top) is None
        )


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles from source each time: byte code is trusted by the second of the file's time, and a model may
    be reloaded within it; and nothing is written into the model repository.
    """

    def __init__(self, name: str, path: str, module_builtins: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = module_builtins

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        # What stands here before the code runs is what its functions take for their builtins.
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


class _ModelFinder(MetaPathFinder):
    """Finds the modules of loaded models by their full names."""

    def __init__(self) -> None:
        self._packages: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def add(self, package: str, module_builtins: dict[str, Any]) -> None:
        with self._lock:
            self._packages[package] = module_builtins
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def remove(self, package: str) -> None:
        with self._lock:
            self._packages.pop(package, None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(_PREFIX) or path is None:
            return None
        module_builtins = self._packages.get(fullname.partition(".")[0])
        if module_builtins is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _SourceLoader(fullname, spec.loader.path, module_builtins)
        return spec


_finder = _ModelFinder()


def calling_model_directory() -> str | None:
    """The version directory of the model whose code called, found by the names of the calling modules; None
    when no model's code is on the stack.
    """
    directory = getattr(_calling_root(), "__naiad_directory__", None)
    return directory if isinstance(directory, str) else None


def calling_model_services() -> ModelServices | None:
    """What the server offers to the model whose code called; None when no model's code is on the stack."""
    services: ModelServices | None = getattr(_calling_root(), "__naiad_services__", None)
    return services


def _calling_root() -> ModuleType | None:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if isinstance(name, str) and name.startswith(_PREFIX):
            return sys.modules.get(name.partition(".")[0])
        frame = frame.f_back  # type: ignore[assignment]
    return None
