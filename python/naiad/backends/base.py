"""The contract between naiad and what runs models: the plug-in point.

A backend is a class, found by its name: the built-in ones, and those that installed packages offer under the
entry-point group ``naiad.backends``::

    [project.entry-points."naiad.backends"]
    mine = "my_package.backend:MyBackend"

A model whose configuration says ``backend: "mine"`` is then run by ``MyBackend``. There are two ways to write
one:

- ``InstanceBackend``, in Python alone: make an object per instance which is called once per batch.
- ``Backend``, for code that makes its own ``BackendFactory`` of the core.

``Backend`` objects are made once per server and may be called from several loading threads at once.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from naiad.config import DEFAULT_MAX_BATCH_SIZE, ModelConfig, is_inside
from naiad.errors import ConfigError, InvalidArgument

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices
    from naiad.engine import BackendFactory, BatchInstance, Engine, PythonInstance

ENTRY_POINT_GROUP = "naiad.backends"

COMMON_OPTIONS = frozenset(
    {"auto-complete-config", "backend-directory", "default-max-batch-size", "min-compute-capability"}
)
"""What Triton gives to every backend, whether it means something there or not."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where one version of a model lies."""

    name: str
    version: int
    directory: Path
    """The model's directory, absolute: ``<repository>/<name>``."""
    root: Path
    """The repository, symbolic links resolved. Nothing outside of it is read."""

    @property
    def version_directory(self) -> Path:
        """``<repository>/<name>/<version>``."""
        return self.directory / str(self.version)

    def find(self, config: ModelConfig, default_filename: str) -> Path:
        """The model's file: ``default_model_filename`` of the configuration, or the backend's own default.

        Raises InvalidArgument, naming the file relative to the repository, when it is not there or a link
        leads out of the repository.
        """
        return self.find_named(config.default_model_filename or default_filename)

    def find_named(self, filename: str) -> Path:
        """The file of that name in the version directory. Raises as ``find`` does."""
        place = f"'{self.name}/{self.version}/{filename}'"
        path = self.version_directory / filename
        if not is_inside(filename) or not path.resolve().is_relative_to(self.root):
            raise InvalidArgument(f"model '{self.name}': file {place} is outside of the model repository")
        if not path.exists():
            raise InvalidArgument(f"model '{self.name}': there is no file {place}")
        return path


@dataclass(frozen=True, slots=True)
class InstancePlace:
    """Which instance is to be made, and where it runs."""

    name: str
    """``<group name>_<i>``, as logs show it."""
    device_kind: str
    """"CPU" or "GPU"."""
    device_id: int
    stream: int = 0
    """Of an instance on a GPU that was made with ``takes_streams``: its ``cudaStream_t``; 0 where the core
    has none.
    """


class Backend(ABC):
    """What runs the models of one framework."""

    name: ClassVar[str]
    """The word in ``backend: "..."``."""
    default_filename: ClassVar[str] = ""
    """The file looked for in a version directory when the configuration names none; "" when there is none."""
    option_names: ClassVar[frozenset[str] | None] = frozenset()
    """The options there are besides ``COMMON_OPTIONS``; None: the backend checks them itself."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """``options``: what ``--backend-config=<name>,<key>=<value>`` gave, on top of those for all.

        Raises ConfigError for one that there is not.
        """
        unknown = set() if self.option_names is None else set(options) - self.option_names - COMMON_OPTIONS
        if unknown:
            named = ", ".join(f"'{name}'" for name in sorted(unknown))
            raise ConfigError(f"backend-config: backend '{self.name}' has no option {named}")
        self.options = dict(options)
        self.services: ModelServices | None = None
        self.engine: Engine | None = None

    def connect(self, services: ModelServices, engine: Engine) -> None:
        """Gives what models may ask of the server, and what will run them. Once, before a model is loaded."""
        self.services = services
        self.engine = engine

    @property
    def default_max_batch_size(self) -> int:
        """What auto-completion gives a model that can batch: the option ``default-max-batch-size``.

        Raises ConfigError where that is no number.
        """
        text = self.options.get("default-max-batch-size")
        if text is None:
            return DEFAULT_MAX_BATCH_SIZE
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ConfigError(
                f"backend-config 'default-max-batch-size' must be an integer >= 0, got '{text}'"
            )
        return int(text)

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """The configuration with what the model itself knows filled in: inputs, outputs, batching.

        What the configuration says already must stay. Raises ConfigError where the two contradict each other.
        Called before ``factory``, once per version, unless auto-completion is off. Any loading thread.
        """
        del files
        return config

    def runs_code(self, config: ModelConfig) -> bool:
        """Whether such a model is, or may bring, code that is run as it is: Python, a library."""
        del config
        return False

    def runs_on_gpu(self) -> bool:
        """Whether instances of KIND_GPU act. If not, such models are refused, and KIND_AUTO means the CPU."""
        return False

    @abstractmethod
    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """What the core makes the instances of this version from. Any loading thread.

        Raises errors of ``naiad.errors`` when the model cannot be run; their text becomes the model's
        ``reason``.
        """


class InstanceBackend(Backend):
    """A backend written in Python alone."""

    takes_streams: ClassVar[bool] = False
    """Whether instances on a GPU in this process queue their work on a stream of the core's: they have
    ``enqueue(batch)`` then, with a ``DeviceBatchView``, and the core copies what goes in and out while other
    batches are computed.
    """

    @abstractmethod
    def make_instance(
        self, config: ModelConfig, files: ModelFiles, place: InstancePlace
    ) -> PythonInstance | BatchInstance:
        """Loads the model for one instance.

        The object's ``execute(requests)`` is called with every batch: a list of ``RequestView``, each of
        which it answers with ``output`` (once per output tensor) or ``fail``; what has no answer when it
        returns fails, and so does the whole batch when it raises. An object that has ``execute_batch(batch)``
        gets one ``BatchView`` in its place: the rows of all requests in one array per input; each output it
        gives, once, is cut into the rows of the requests. ``finalize()`` ends it. All of these calls come
        from the thread of that instance, one at a time, and hold the GIL.
        """

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """A factory that calls ``make_instance`` on the thread of each instance."""
        from naiad.engine import python_factory

        def make(
            name: str, device_kind: str, device_id: int, stream: int = 0
        ) -> PythonInstance | BatchInstance:
            return self.make_instance(config, files, InstancePlace(name, device_kind, device_id, stream))

        return python_factory(make, streams=self.takes_streams)
