"""The ``openvino`` backend: OpenVINO's own files and ONNX, on the CPU and what else OpenVINO knows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.isolated import ENVIRONMENT, ISOLATION_OPTIONS, IsolatedBackend
from naiad.backends.made_once import MadeOnce
from naiad.backends.openvino.options import OpenVinoOptions, openvino_options
from naiad.backends.python.failure import load_failure
from naiad.config import ModelConfig, complete_tensors
from naiad.errors import NaiadError, Unsupported

if TYPE_CHECKING:
    from naiad.backends.openvino.instance import OpenVinoInstance
    from naiad.backends.openvino.model import OpenVinoModel

_log = logging.getLogger("naiad.backends.openvino")


@dataclass
class _Compiled:
    model: OpenVinoModel
    compiled: Any


class OpenVinoBackend(IsolatedBackend):
    """Runs models of OpenVINO, one call per batch.

    Parameters of a configuration, besides those of ``IsolatedBackend``: those of ``openvino_options``. A
    model holds no code of its user's, so ``isolation`` is "thread" where nothing is said: instances then
    share one compiled model, and its weights.
    """

    name: ClassVar[str] = "openvino"
    default_filename: ClassVar[str] = "model.xml"
    default_isolation: ClassVar[str] = "thread"
    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__(options)
        self._shared: MadeOnce[_Compiled] = MadeOnce()

    def runs_code(self, config: ModelConfig) -> bool:
        """Where it has an environment of its own."""
        return ENVIRONMENT in config.parameters or self.options.get("install-requirements", "no") != "no"

    def completes(self, config: ModelConfig, files: ModelFiles) -> bool:
        """Every file says what its tensors are."""
        del files
        return not (config.inputs and config.outputs)

    def complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """Inputs and outputs of the file; batching where every first dimension is free."""
        self.require_package("openvino", config)
        model = self._read(config, files, self._options_of(config, files))
        message = config.copy_proto()
        complete_tensors(message, model.found(), default_max_batch_size=self.default_max_batch_size)
        return ModelConfig(message)

    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        """What can be said without OpenVINO."""
        self.require_package("openvino", config)
        files.find(config, self.default_filename)
        self._options_of(config, files)
        if config.decoupled:
            raise Unsupported(
                f"model '{files.name}': the openvino backend gives one response per request; "
                "model_transaction_policy.decoupled is for models in Python"
            )

    def make_instance(self, config: ModelConfig, files: ModelFiles, place: InstancePlace) -> OpenVinoInstance:
        """An infer request. The model is compiled once for the instances of this process."""
        from naiad.backends.openvino.instance import OpenVinoInstance

        options = self._options_of(config, files)
        # The configuration is one object for all instances that are made together, and lives as long.
        shared = self._shared.get(id(config), lambda: self._compile(config, files, options))
        return OpenVinoInstance(config, shared.model, shared.compiled, options, owner=shared)

    def _compile(self, config: ModelConfig, files: ModelFiles, options: OpenVinoOptions) -> _Compiled:
        model = self._read(config, files, options)
        model.check(config)
        try:
            return _Compiled(model, model.compile())
        except NaiadError:
            raise
        except Exception as error:
            raise self._failure(files, "compiling", error) from None

    def _read(self, config: ModelConfig, files: ModelFiles, options: OpenVinoOptions) -> OpenVinoModel:
        from naiad.backends.openvino.model import OpenVinoModel

        path = files.find(config, self.default_filename)
        try:
            model = OpenVinoModel(path, files.name, options)
            model.free_batch(config)
            return model
        except NaiadError:
            raise
        except Exception as error:
            raise self._failure(files, "reading", error) from None

    @staticmethod
    def _failure(files: ModelFiles, stage: str, error: Exception) -> NaiadError:
        from naiad.backends.openvino.model import said_by

        return load_failure(_log, files, stage, error, f"OpenVINO: {said_by(error)}")

    def _options_of(self, config: ModelConfig, files: ModelFiles) -> OpenVinoOptions:
        shared = config.num_instances if self.isolation(config, files) == "thread" else 1
        return openvino_options(files.name, config.parameters, num_streams=max(1, shared))
