"""The ``vllm`` backend: an engine of vLLM for each instance, in a worker process, under Triton's names."""

from __future__ import annotations

import logging
import os
from typing import ClassVar

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.isolated import FORK, ISOLATION_OPTIONS, IsolatedBackend
from naiad.backends.python.failure import loading
from naiad.backends.python.instance import PythonModelInstance
from naiad.backends.vllm.contract import check_config, complete_config
from naiad.backends.vllm.model_json import MODEL_FILE, read_model_json
from naiad.backends.words import flag_of
from naiad.config import ModelConfig
from naiad.errors import Unsupported

_log = logging.getLogger("naiad.backends.vllm")

METRICS = "REPORT_CUSTOM_METRICS"
HEALTH = "ENABLE_VLLM_HEALTH_CHECK"
_FLAGS = {"true": True, "false": False}


class VllmBackend(IsolatedBackend):
    """Runs what ``model.json`` describes: the arguments of a vLLM engine.

    Parameters of a configuration, besides those of ``IsolatedBackend`` (without ``fork_after_load``;
    isolation is "process"): ``REPORT_CUSTOM_METRICS`` ("true": vLLM's metrics are on the server's page),
    ``ENABLE_VLLM_HEALTH_CHECK`` (the engine is watched in any case).
    """

    name: ClassVar[str] = "vllm"
    default_filename: ClassVar[str] = MODEL_FILE
    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS

    def runs_on_gpu(self) -> bool:
        """Where vLLM was built for it: the engine says so when it starts."""
        return True

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """The tensors of a model that generates, or pools; no batching; KIND_MODEL. Needs no vLLM."""
        return complete_config(config, read_model_json(config, files).task)

    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        """What can be said without vLLM."""
        if self.isolation(config, files) != "process":
            raise Unsupported(f"model '{files.name}': the vllm backend needs parameter isolation 'process'")
        if FORK in config.parameters:
            raise Unsupported(f"model '{files.name}': the vllm backend has no {FORK}")
        self.require_package("vllm", config)
        for parameter in (METRICS, HEALTH):
            _flag(config, parameter)
        check_config(config, read_model_json(config, files).task)

    def make_instance(
        self, config: ModelConfig, files: ModelFiles, place: InstancePlace
    ) -> PythonModelInstance:
        """Starts an engine, which loads the model. The thread that lives as long as the process."""
        from naiad.backends.vllm.start import start_engine

        if place.device_kind == "GPU":
            _see_one_gpu(place.device_id)
        with loading(_log, files, "starting the engine"):
            model = start_engine(config, files, place, reports=_flag(config, METRICS))
        outputs = [output.name for output in config.outputs]
        return PythonModelInstance(
            place.name, model, outputs, copy_inputs=False, decoupled=config.decoupled, services=self.services
        )


def _flag(config: ModelConfig, parameter: str) -> bool:
    return flag_of(config, parameter, _FLAGS, "'true' or 'false'")


def _see_one_gpu(device_id: int) -> None:
    """vLLM takes the first GPU that it sees; the server counts those that it sees itself."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in seen.split(",") if name.strip()]
    os.environ["CUDA_VISIBLE_DEVICES"] = names[device_id] if device_id < len(names) else str(device_id)
