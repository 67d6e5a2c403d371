"""Backends by name: the built-in ones, those of a backend directory, and those of installed packages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.backends.base import ENTRY_POINT_GROUP, Backend
from naiad.backends.isolated import IsolatedBackend
from naiad.backends.library import LibraryBackend, library_name
from naiad.errors import InvalidArgument, NaiadError, Unsupported

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices
    from naiad.engine import Engine

DIRECTORY_OPTION = "backend-directory"
"""The option that names a directory of backends: a folder for each, with a model.py or a library."""

_SHARED_FILE = "model.py"

_BUILT_IN = {
    "identity": ("naiad.backends.identity", "IdentityBackend"),
    "onnxruntime": ("naiad.backends.onnxruntime", "OnnxRuntimeBackend"),
    "openvino": ("naiad.backends.openvino.backend", "OpenVinoBackend"),
    "python": ("naiad.backends.python.backend", "PythonBackend"),
    "tensorrt": ("naiad.backends.tensorrt.backend", "TensorRtBackend"),
    "pytorch": ("naiad.backends.torch.backend", "TorchBackend"),
    "vllm": ("naiad.backends.vllm.backend", "VllmBackend"),
}
"""Name -> module and class: imported when a model first asks for it."""


class BackendRegistry:
    """Makes each backend once, when it is first asked for. Any thread."""

    def __init__(
        self,
        options: Mapping[str, Mapping[str, str]] | None = None,
        *,
        backends: Mapping[str, Callable[[Mapping[str, str]], Backend]] | None = None,
        pinned_bytes: int = 0,
    ) -> None:
        """``options``: of each backend by its name, those under "" are for all. ``backends``: further ones,
        which go before all others. ``pinned_bytes``: how much a worker may pin of either side's memory.
        """
        self._options = dict(options or {})
        self._given = dict(backends or {})
        self._pinned_bytes = pinned_bytes
        self._made: dict[str, Backend] = {}
        self._lock = threading.Lock()
        self._connected: tuple[ModelServices, Engine] | None = None

    def connect(self, services: ModelServices, engine: Engine) -> None:
        """Gives all backends what their models may ask of the server, and what will run them. Once."""
        with self._lock:
            self._connected = services, engine
            for backend in self._made.values():
                backend.connect(services, engine)

    def get(self, name: str) -> Backend:
        """The backend of that name. Raises Unsupported when there is none or its package is broken."""
        with self._lock:
            made = self._made.get(name)
            if made is None:
                made = self._made[name] = self._make(name)
            return made

    def names(self) -> list[str]:
        """All that could be asked for, sorted."""
        found = {*self._given, *_BUILT_IN, *metadata.entry_points(group=ENTRY_POINT_GROUP).names}
        directory = self._options.get("", {}).get(DIRECTORY_OPTION)
        if directory:
            for pattern in (_SHARED_FILE, library_name("*")):
                found.update(file.parent.name for file in Path(directory).glob(f"*/{pattern}"))
        return sorted(found)

    def on_gpu(self) -> frozenset[str]:
        """Those with instances that act on a GPU. One that cannot be made here is none of them."""
        found = []
        for name in self.names():
            try:
                if self.get(name).runs_on_gpu():
                    found.append(name)
            except NaiadError:
                continue
        return frozenset(found)

    def _make(self, name: str) -> Backend:
        make = self._find(name)
        backend = make(self._options_of(name))
        if not isinstance(backend, Backend):
            raise Unsupported(
                f"backend '{name}' is no naiad.backends.base.Backend, got {type(backend).__name__}"
            )
        if isinstance(backend, IsolatedBackend):
            backend.pinned_limit_bytes = self._pinned_bytes
        if self._connected is not None:
            backend.connect(*self._connected)
        return backend

    def _options_of(self, name: str) -> dict[str, str]:
        return {**self._options.get("", {}), **self._options.get(name, {})}

    def _find(self, name: str) -> Callable[[Mapping[str, str]], Any]:
        if name in self._given:
            return self._given[name]
        if name in _BUILT_IN:
            module, attribute = _BUILT_IN[name]
            built_in: Callable[[Mapping[str, str]], Any] = getattr(import_module(module), attribute)
            return built_in
        if (in_directory := self._find_in_directory(name)) is not None:
            return in_directory
        for entry_point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
            try:
                loaded: Callable[[Mapping[str, str]], Any] = entry_point.load()
            except (ImportError, AttributeError) as error:
                raise Unsupported(f"backend '{name}' cannot be imported: {error}") from error
            return loaded
        if not name:
            raise InvalidArgument("the configuration names no backend")
        raise Unsupported(f"there is no backend '{name}'; there are: {', '.join(self.names())}")

    def _find_in_directory(self, name: str) -> Callable[[Mapping[str, str]], Any] | None:
        """A folder of the backend directory holds the model.py of its models, or a library."""
        given = self._options_of(name).get(DIRECTORY_OPTION)
        if not given or Path(name).name != name or not name.strip("."):
            return None
        directory = Path(given).absolute() / name
        if (directory / _SHARED_FILE).is_file():
            from naiad.backends.python.shared import shared_backend

            return shared_backend(name, directory)
        if (library := directory / library_name(name)).is_file():
            return lambda options: LibraryBackend(name, library, options)
        if (directory / f"libtriton_{name}.so").exists():
            raise Unsupported(
                f"backend '{name}' is a shared library for Triton, which this server does not load; there "
                f"are: {', '.join(self.names())}"
            )
        return None
