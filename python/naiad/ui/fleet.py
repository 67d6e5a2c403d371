"""What is served, as the page shows it: what changes when models are loaded, and not with each request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from naiad.config import ModelConfig
from naiad.engine import histogram_bounds
from naiad.ensemble.conditions import read_conditions
from naiad.errors import NaiadError
from naiad.handlers.control import ControlPlane, Repository, ServedVersion
from naiad.openai.roles import Embedder, Generator, Reranker, find_role
from naiad.settings import ServerSettings

Json = dict[str, Any]

_TASKS = {Generator: "generate", Embedder: "embed", Reranker: "rerank"}
_BOUNDS = [bound for bound in histogram_bounds() if bound != float("inf")]
_MAX_LABELS = 10_000


class Fleet:
    """Reads the repository. ``shown`` may look at files and belongs on a thread of its own."""

    def __init__(
        self,
        control: ControlPlane,
        repository: Repository,
        settings: ServerSettings,
        urls: Callable[[], Mapping[str, str]],
    ) -> None:
        """``urls``: of the ports that are served, by what they serve."""
        self._control = control
        self._repository = repository
        self._settings = settings
        self._urls = urls
        self._started_s = time.time()

    def shown(self) -> Json:
        """The server, and all models by name, each with its versions."""
        loaded: dict[tuple[str, str], ServedVersion] = {
            (served.name, str(served.version)): served for served in self._repository.loaded()
        }
        models: dict[str, Json] = {}
        for row in self._control.index("", False):
            name, version = row["name"], row.get("version", "")
            model = models.setdefault(name, {"name": name, "versions": []})
            shown: Json = {
                "version": version,
                "state": row.get("state", ""),
                "reason": row.get("reason", ""),
            }
            served = loaded.get((name, version))
            if served is not None:
                shown |= {"healthy": served.model.healthy, "load_s": round(served.load_duration_s, 3)}
                # Of several versions the highest speaks for the model.
                model |= _described(served.config)
            if version or not model["versions"]:
                model["versions"].append(shown)
        return {
            "server": {
                "name": self._settings.server_id,
                "version": self._control.server_metadata()["version"],
                "started_s": self._started_s,
                "stopping": self._control.stopping,
                "control_mode": self._settings.repository.control_mode,
                "urls": dict(self._urls()),
            },
            # Upper bounds of the buckets of all histograms; one more bucket has none.
            "bounds": _BOUNDS,
            "models": [models[name] for name in sorted(models)],
        }

    def model(self, name: str, version: str) -> Json:
        """What a request to a model takes and gives. Raises NotFound, NotReady, InvalidArgument."""
        served = self._repository.find(name, version)
        config: ModelConfig = served.config
        metadata = self._control.model_metadata(name, version)
        optional = {tensor.name for tensor in config.inputs if tensor.optional}
        for tensor in metadata["inputs"]:
            tensor["optional"] = tensor["name"] in optional
        for tensor in metadata["outputs"]:
            labels = served.labels.get(tensor["name"], ())
            tensor["labels"] = list(labels[:_MAX_LABELS])
        return (
            metadata
            | {"max_batch_size": config.max_batch_size, "decoupled": config.decoupled}
            | _task(config)
        )


def _described(config: ModelConfig) -> Json:
    proto = config.proto
    return {
        "platform": "ensemble" if config.is_ensemble else config.backend or config.platform,
        "max_batch_size": config.max_batch_size,
        "decoupled": config.decoupled,
        "scheduling": _scheduling(config),
        "queue_delay_us": config.dynamic_batching.max_queue_delay_us if config.dynamic_batching else 0,
        "cached": bool(proto.response_cache.enable),
        "groups": [
            {
                "kind": group.kind.removeprefix("KIND_"),
                "count": len(group.instance_names),
                "gpus": list(group.gpus),
            }
            for group in config.instance_groups
        ],
        "steps": _steps(config) if config.is_ensemble else [],
        "inputs": [_tensor(config, tensor) for tensor in config.inputs],
        "outputs": [_tensor(config, tensor) for tensor in config.outputs],
    } | _task(config)


def _tensor(config: ModelConfig, tensor: Any) -> Json:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(config.wire_shape(tensor))}


def _task(config: ModelConfig) -> Json:
    role = find_role(config)
    return {"task": "" if role is None else _TASKS[type(role)]}


def _scheduling(config: ModelConfig) -> str:
    if config.is_ensemble:
        return "ensemble"
    if config.proto.HasField("sequence_batching"):
        return "sequences"
    return "dynamic batching" if config.dynamic_batching is not None else "one by one"


def _steps(config: ModelConfig) -> list[Json]:
    try:
        conditions = read_conditions(config)
    except NaiadError:  # an ensemble that was refused has no steps that run
        conditions = {}
    return [
        {
            "model": step.model_name,
            "version": "" if step.model_version < 1 else str(step.model_version),
            "inputs": dict(step.input_map),
            "outputs": dict(step.output_map),
            "when": {"tensor": conditions[place].tensor, "is": conditions[place].expected}
            if place in conditions
            else None,
        }
        for place, step in enumerate(config.proto.ensemble_scheduling.step)
    ]
