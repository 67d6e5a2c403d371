"""From a configuration to an engine that has loaded its model. In a worker process."""

from __future__ import annotations

import logging
from typing import Any

from naiad.backends.base import InstancePlace, ModelFiles
from naiad.backends.vllm.contract import GENERATE
from naiad.backends.vllm.engine_model import EngineModel, EngineRunner
from naiad.backends.vllm.framework import Framework, log_to_server
from naiad.backends.vllm.lent_gpus import lent_gpus
from naiad.backends.vllm.metrics import EngineMetrics
from naiad.backends.vllm.model_json import EngineArguments, read_model_json
from naiad.backends.vllm.sampling import SamplingReader
from naiad.config import ModelConfig
from naiad.errors import Unsupported

_log = logging.getLogger("naiad.backends.vllm")

_DEFAULTS = ("generation_config", "override_generation_config")
"""Where one of these is said, what it holds takes the place of vLLM's own sampling parameters."""


def start_engine(
    config: ModelConfig, files: ModelFiles, place: InstancePlace, *, reports: bool
) -> EngineRunner:
    """``reports``: vLLM's metrics go to the server. Raises errors of ``naiad.errors``, and what vLLM
    raises.
    """
    arguments = read_model_json(config, files)
    framework = Framework()
    log_to_server()
    _check_kind(config, place, framework)
    lent = lent_gpus()
    values = arguments.values if lent is None else lent.arguments(config, arguments)
    values = {"served_model_name": files.name} | values
    if "disable_log_stats" not in values:
        # They cost a little with every token.
        values["disable_log_stats"] = not reports
    engine = framework.start(values, arguments.where, lent)
    try:
        return EngineRunner(
            _model(config, files, place, arguments, framework, engine, reports), engine, place.name
        )
    except BaseException:
        engine.shutdown()
        raise


def _model(
    config: ModelConfig,
    files: ModelFiles,
    place: InstancePlace,
    arguments: EngineArguments,
    framework: Framework,
    engine: Any,
    reports: bool,
) -> EngineModel:
    sampling = None
    if arguments.task == GENERATE:
        defaults = {}
        if any(name in arguments.values for name in _DEFAULTS):
            defaults = engine.model_config.get_diff_sampling_param()
        sampling = SamplingReader(framework, defaults)
    return EngineModel(
        files.name,
        arguments.task,
        arguments.adapters,
        sampling,
        framework,
        _metrics(config, files, place) if reports and not arguments.values.get("disable_log_stats") else None,
    )


def _metrics(config: ModelConfig, files: ModelFiles, place: InstancePlace) -> EngineMetrics:
    from prometheus_client import REGISTRY

    labels = {"model": files.name, "version": str(files.version)}
    if config.num_instances > 1:
        labels["instance"] = place.name
    return EngineMetrics(labels, REGISTRY.collect)


def _check_kind(config: ModelConfig, place: InstancePlace, framework: Framework) -> None:
    """Where the engine runs is vLLM's build: what the configuration asks for has to be that."""
    group = config.group_of(place.name)
    if group is None or group.kind == "KIND_MODEL":
        return
    if framework.on_cpu != (group.kind == "KIND_CPU"):
        built = "CPUs" if framework.on_cpu else "GPUs"
        raise Unsupported(
            f"model '{config.name}' wants {group.kind}, but the installed vLLM {framework.version} is for "
            f"{built}"
        )
