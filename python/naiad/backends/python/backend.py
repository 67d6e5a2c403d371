"""The ``python`` backend: model.py files written for Triton, in worker processes or in the server's own."""

from __future__ import annotations

import gc
import json
import logging
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import InstanceBackend, InstancePlace, ModelFiles
from naiad.backends.python.environment import Environments
from naiad.backends.python.failure import encodable
from naiad.backends.python.instance import PythonModelInstance
from naiad.backends.python.model_config import ModelConfig as CompletionConfig
from naiad.backends.python.model_modules import ModelModules
from naiad.backends.python.worker_process import Workers, complete_in_worker
from naiad.config import ModelConfig, from_dict
from naiad.engine import worker_factory
from naiad.errors import BackendError, ConfigError, InvalidArgument, NaiadError

if TYPE_CHECKING:
    from naiad.backends.services import ModelServices
    from naiad.engine import BackendFactory

_log = logging.getLogger("naiad.backends.python")

_LONGEST_S = 1e9

_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class PythonBackend(InstanceBackend):
    """Runs ``TritonPythonModel`` classes. One object per instance, each in a process of its own.

    Parameters of a configuration: ``isolation`` ("process", the default, or "thread": on the thread of the
    instance in the server's own process, which is quicker and lets a model take the server down; the option
    ``isolation`` of the backend is for models that do not say). Of a process: ``execute_timeout_seconds``
    ends one that is longer busy with a batch, ``load_timeout_seconds`` one that is longer loading; 0, the
    default, is any time. ``READ_ONLY_INPUTS`` ("yes": inputs are read-only views of the request; the
    default, "no": a model may write to them, for which they are copied where others see the memory too).
    ``FORCE_CPU_ONLY_INPUT_TENSORS``: inputs are in CPU memory in any case. ``EXECUTION_ENV_PATH`` names the
    environment that its processes run in, a directory or an archive; with the option
    ``install-requirements`` one is made from the requirements.txt in the model's directory. The option
    ``stub-timeout-seconds`` is how long a process may take to end. The options ``shm-*`` concern
    memory that Triton's processes share; here it grows by itself.
    """

    name: ClassVar[str] = "python"
    default_filename: ClassVar[str] = "model.py"
    option_names: ClassVar[frozenset[str] | None] = frozenset(
        {
            "shm-default-byte-size",
            "shm-growth-byte-size",
            "shm-region-prefix-name",
            "stub-timeout-seconds",
            "isolation",
            "install-requirements",
        }
    )

    @cached_property
    def _environments(self) -> Environments:
        word = self.options.get("install-requirements", "no")
        if word not in _YES_NO:
            raise ConfigError(f"--backend-config=python,install-requirements must be yes or no, got '{word}'")
        return Environments(installs_requirements=_YES_NO[word])

    def runs_on_gpu(self) -> bool:
        """A model learns its GPU from ``initialize``'s args and uses it through its own framework."""
        return True

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Calls the model's ``auto_complete_config``, where it has one."""
        if self._isolation(config, files) == "thread":
            return complete_config(config, files)
        if b"auto_complete_config" not in _model_file(config, files).read_bytes():
            return config
        return complete_in_worker(config, files, self._environments.find(config, files))

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """Refuses what is not served; the model's file is read when an instance is made."""
        _read_only_inputs(config, files)
        _model_file(config, files)
        if self._isolation(config, files) == "thread":
            return super().factory(config, files)
        python = self._environments.find(config, files)
        if self.engine is None:
            return super().factory(config, files)
        workers = Workers(config, files, python, self.services)
        return worker_factory(
            self.engine,
            workers.start,
            workers.ask,
            start_limit_s=_seconds(config, files, "load_timeout_seconds"),
            execute_limit_s=_seconds(config, files, "execute_timeout_seconds"),
            stop_limit_s=float(self.options.get("stub-timeout-seconds", "30")),
        )

    def make_instance(
        self, config: ModelConfig, files: ModelFiles, place: InstancePlace
    ) -> PythonModelInstance:
        """Imports model.py and initializes one model object."""
        return make_python_instance(config, files, place, self.services)

    def _isolation(self, config: ModelConfig, files: ModelFiles) -> str:
        word = config.parameters.get("isolation", self.options.get("isolation", "process"))
        if word not in ("process", "thread"):
            raise ConfigError(
                f"model '{files.name}': parameter isolation must be 'process' or 'thread', got '{word}'",
                field="parameters",
            )
        if word == "thread" and "EXECUTION_ENV_PATH" in config.parameters:
            raise ConfigError(
                f"model '{files.name}': EXECUTION_ENV_PATH needs a process, and isolation is 'thread'",
                field="parameters",
            )
        return word


def complete_config(config: ModelConfig, files: ModelFiles) -> ModelConfig:
    """Calls the model's ``auto_complete_config``, where it has one, in this process."""
    modules = _modules(files)
    try:
        model_class = _model_class(modules.load(_model_file(config, files)), files)
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
    except NaiadError:
        raise
    except (Exception, SystemExit) as error:
        raise _load_failure(files, "auto_complete_config", error) from None
    finally:
        modules.close()


def make_python_instance(
    config: ModelConfig, files: ModelFiles, place: InstancePlace, services: ModelServices | None
) -> PythonModelInstance:
    """Imports model.py and initializes one model object, in this process."""
    modules = _modules(files, services)
    try:
        model_class = _model_class(modules.load(_model_file(config, files)), files)
        model = model_class()
        execute = getattr(model, "execute", None)
        if not callable(execute):
            raise InvalidArgument(f"model '{files.name}': TritonPythonModel has no execute function")
        initialize = getattr(model, "initialize", None)
        if initialize is not None:
            initialize(initialize_args(config, files, place))
    except NaiadError:
        modules.close()
        raise
    except (Exception, SystemExit) as error:
        modules.close()
        raise _load_failure(files, "initialize", error) from None
    outputs = [output.name for output in config.outputs]
    outputs += [state.output_name for state in config.proto.sequence_batching.state]
    return _Instance(
        modules,
        place.name,
        model,
        outputs,
        copy_inputs=not _read_only_inputs(config, files),
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
    ) -> None:
        super().__init__(
            name, model, output_names, copy_inputs=copy_inputs, decoupled=decoupled, services=services
        )
        self._modules = modules

    def finalize(self) -> None:
        super().finalize()
        self._modules.close()
        # Modules and their functions refer to one another; what the model held comes back now, not some day.
        gc.collect()


def initialize_args(config: ModelConfig, files: ModelFiles, place: InstancePlace) -> dict[str, str]:
    """What ``initialize`` gets: strings alone, under the keys that Triton has."""
    return {
        "model_config": json.dumps(config.to_json(), separators=(",", ":")),
        "model_instance_kind": place.device_kind,
        "model_instance_name": place.name,
        "model_instance_device_id": str(place.device_id),
        "model_repository": str(files.directory),
        "model_version": str(files.version),
        "model_name": files.name,
    }


def _seconds(config: ModelConfig, files: ModelFiles, parameter: str) -> float:
    text = config.parameters.get(parameter, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise ConfigError(
            f"model '{files.name}': parameter {parameter} must be a number of seconds, got '{text}'",
            field="parameters",
        )
    return seconds


def _modules(files: ModelFiles, services: ModelServices | None = None) -> ModelModules:
    return ModelModules([files.version_directory, files.directory], services)


def _model_file(config: ModelConfig, files: ModelFiles) -> Path:
    return files.find(config, PythonBackend.default_filename)


def _model_class(module: ModuleType, files: ModelFiles) -> Any:
    model_class = getattr(module, "TritonPythonModel", None)
    if model_class is None:
        raise InvalidArgument(f"model '{files.name}': its Python file has no class TritonPythonModel")
    return model_class


def _load_failure(files: ModelFiles, stage: str, error: BaseException) -> BackendError:
    _log.error("model '%s' version %d failed to load (%s)", files.name, files.version, stage, exc_info=error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        text = f"{text} ({Path(error.filename or '').name}, line {error.lineno})"
    return BackendError(encodable(f"{type(error).__name__}: {text}"))


def _read_only_inputs(config: ModelConfig, files: ModelFiles) -> bool:
    word = config.parameters.get("READ_ONLY_INPUTS", "no")
    chosen = _YES_NO.get(word.lower())
    if chosen is None:
        raise ConfigError(
            f"model '{files.name}': parameter READ_ONLY_INPUTS must be 'yes' or 'no', got '{word}'",
            field="parameters",
        )
    return chosen
