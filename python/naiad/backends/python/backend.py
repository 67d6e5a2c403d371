"""The ``python`` backend: model.py files written for Triton, in worker processes or in the server's own."""

from __future__ import annotations

import gc
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.isolated import ISOLATION_OPTIONS, IsolatedBackend
from naiad.backends.python.failure import loading
from naiad.backends.python.instance import PythonModelInstance
from naiad.backends.python.model_config import ModelConfig as CompletionConfig
from naiad.backends.python.model_modules import ModelModules
from naiad.backends.words import YES_NO, flag_of
from naiad.config import ModelConfig, from_dict
from naiad.errors import ConfigError, InvalidArgument

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices

_log = logging.getLogger("naiad.backends.python")


@dataclass(frozen=True)
class ModelSource:
    """The code of a model."""

    file: Path
    directories: tuple[Path, ...]
    """Where what it imports is looked for."""

    def modules(self, files: ModelFiles, services: ModelServices | None = None) -> ModelModules:
        """Of one instance."""
        return ModelModules(self.directories, services, model_directory=files.version_directory)


class PythonBackend(IsolatedBackend):
    """Runs ``TritonPythonModel`` classes.

    Parameters of a configuration, besides those of ``IsolatedBackend``: ``READ_ONLY_INPUTS`` ("yes": inputs
    are read-only views of the request; the default, "no": a model may write to them, for which they are
    copied where others see the memory too). ``FORCE_CPU_ONLY_INPUT_TENSORS`` ("no": inputs that lie on a GPU
    already are given there to instances within the server; the default, "yes": in CPU memory). The options
    ``shm-*`` concern memory that Triton's processes share; here it grows by itself.
    """

    name: ClassVar[str] = "python"
    default_filename: ClassVar[str] = "model.py"
    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS | {
        "shm-default-byte-size",
        "shm-growth-byte-size",
        "shm-region-prefix-name",
    }

    _loaded: Loaded | None = None

    def runs_on_gpu(self) -> bool:
        """A model learns its GPU from ``initialize``'s args and uses it through its own framework."""
        return True

    def source(self, config: ModelConfig, files: ModelFiles) -> ModelSource:
        """The model's own file. Raises InvalidArgument where it is not there."""
        path = files.find(config, self.default_filename)
        return ModelSource(path, (files.version_directory, files.directory))

    def completes(self, config: ModelConfig, files: ModelFiles) -> bool:
        """Whether the model's file names ``auto_complete_config``."""
        return b"auto_complete_config" in self.source(config, files).file.read_bytes()

    def complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Calls the model's ``auto_complete_config``, where it has one."""
        return complete_config(self.source(config, files), config, files)

    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        _read_only_inputs(config)
        self.source(config, files)

    def preload(self, config: ModelConfig, files: ModelFiles) -> None:
        """Imports model.py and calls the static ``preload`` of its class, where it has one."""
        self._loaded = preload(self.source(config, files), config, files)

    def make_instance(
        self, config: ModelConfig, files: ModelFiles, place: InstancePlace
    ) -> PythonModelInstance:
        """Imports model.py, unless that has been done, and initializes one model object."""
        source = self.source(config, files)
        return make_python_instance(source, config, files, place, self.services, self._loaded)


@dataclass(frozen=True)
class Loaded:
    """The modules of a model that is imported already, and its class."""

    modules: ModelModules
    model_class: Any


def preload(source: ModelSource, config: ModelConfig, files: ModelFiles) -> Loaded:
    """Imports model.py and calls the static ``preload`` of its class, where it has one, in this process."""
    modules = source.modules(files)
    with loading(_log, files, "preload"):
        model_class = _model_class(modules.load(source.file), files)
        own = getattr(model_class, "preload", None)
        if own is not None:
            own(model_args(config, files))
    return Loaded(modules, model_class)


def complete_config(source: ModelSource, config: ModelConfig, files: ModelFiles) -> ModelConfig:
    """Calls the model's ``auto_complete_config``, where it has one, in this process."""
    modules = source.modules(files)
    try:
        with loading(_log, files, "auto_complete_config"):
            model_class = _model_class(modules.load(source.file), files)
            complete = getattr(model_class, "auto_complete_config", None)
            if complete is None:
                return config
            completed = complete(CompletionConfig(config.to_json()))
            if not isinstance(completed, CompletionConfig):
                raise ConfigError(
                    f"model '{files.name}': auto_complete_config must return the ModelConfig, "
                    f"got {type(completed).__name__}"
                )
            return ModelConfig(from_dict(completed.as_dict()))
    finally:
        modules.close()


def make_python_instance(
    source: ModelSource,
    config: ModelConfig,
    files: ModelFiles,
    place: InstancePlace,
    services: ModelServices | None,
    loaded: Loaded | None = None,
) -> PythonModelInstance:
    """Imports model.py, unless it is ``loaded``, and initializes one model object, in this process."""
    modules = loaded.modules if loaded is not None else source.modules(files)
    modules.connect(services)
    try:
        with loading(_log, files, "initialize"):
            if loaded is not None:
                model_class = loaded.model_class
            else:
                model_class = _model_class(modules.load(source.file), files)
            model = model_class()
            execute = getattr(model, "execute", None)
            if not callable(execute):
                raise InvalidArgument(f"model '{files.name}': TritonPythonModel has no execute function")
            initialize = getattr(model, "initialize", None)
            if initialize is not None:
                initialize(initialize_args(config, files, place))
    except BaseException:
        modules.close()
        raise
    outputs = [output.name for output in config.outputs]
    outputs += [state.output_name for state in config.proto.sequence_batching.state]
    return _Instance(
        modules,
        place.name,
        model,
        outputs,
        copy_inputs=not _read_only_inputs(config),
        takes_gpu_inputs=config.wants_gpu_inputs,
        decoupled=config.decoupled,
        services=services,
    )


class _Instance(PythonModelInstance):
    """An instance that forgets its modules at the end."""

    def __init__(
        self,
        modules: ModelModules,
        name: str,
        model: Any,
        output_names: list[str],
        *,
        copy_inputs: bool,
        decoupled: bool,
        services: ModelServices | None,
        takes_gpu_inputs: bool,
    ) -> None:
        super().__init__(
            name,
            model,
            output_names,
            copy_inputs=copy_inputs,
            decoupled=decoupled,
            services=services,
            takes_gpu_inputs=takes_gpu_inputs,
        )
        self._modules = modules

    def finalize(self) -> None:
        super().finalize()
        self._modules.close()
        # Modules and their functions refer to one another; what the model held comes back now, not some day.
        gc.collect()


def initialize_args(config: ModelConfig, files: ModelFiles, place: InstancePlace) -> dict[str, str]:
    """What ``initialize`` gets: strings alone, under the keys that Triton has."""
    return model_args(config, files) | {
        "model_instance_kind": place.device_kind,
        "model_instance_name": place.name,
        "model_instance_device_id": str(place.device_id),
    }


def model_args(config: ModelConfig, files: ModelFiles) -> dict[str, str]:
    """What all instances get."""
    return {
        "model_config": json.dumps(config.to_json(), separators=(",", ":")),
        "model_repository": str(files.directory),
        "model_version": str(files.version),
        "model_name": files.name,
    }


def _model_class(module: ModuleType, files: ModelFiles) -> Any:
    model_class = getattr(module, "TritonPythonModel", None)
    if model_class is None:
        raise InvalidArgument(f"model '{files.name}': its Python file has no class TritonPythonModel")
    return model_class


def _read_only_inputs(config: ModelConfig) -> bool:
    return flag_of(config, "READ_ONLY_INPUTS", YES_NO, "'yes' or 'no'")
