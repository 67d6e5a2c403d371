"""What the API does apart from inference: health, metadata, configuration, statistics, the repository.

Answers are plain values in the JSON form of the HTTP API, whose names are also the field names of the gRPC
messages. Methods that may take long (``load``, ``unload``, ``index``, ``bring``) block and belong on a thread
of their own; the others do not wait. All may be called from any thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from naiad.config.types import ModelConfig, TensorConfig
from naiad.engine import Model, SharedRegions
from naiad.errors import Internal, InvalidArgument, NotFound, Unavailable, Unsupported
from naiad.handlers.load_parameters import read_load_parameters
from naiad.handlers.log_settings import LogControl
from naiad.handlers.shared_memory import SharedMemory
from naiad.settings import SERVER_VERSION, ServerSettings
from naiad.tracing.control import TraceControl, Values

Json = dict[str, Any]

EXTENSIONS = (
    "classification",
    "sequence",
    "sequence(string_id)",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "logging",
)
"""The protocol extensions that act. Clients read this list to learn what they may ask for."""

_EXPLICIT_ONLY = "explicit model load / unload is not allowed if polling is enabled"
_NO_REPOSITORY_NAME = "'repository_name' specification is not supported"

_DURATIONS = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
_STEPS = ("compute_input", "compute_infer", "compute_output")


class ServedVersion(Protocol):
    """A model version that is served, as the repository gives it."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def config(self) -> ModelConfig: ...
    @property
    def model(self) -> Model: ...
    @property
    def versions(self) -> list[int]: ...
    @property
    def load_duration_s(self) -> float: ...


class IndexRow(Protocol):
    """What the repository knows of one model version."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Repository(Protocol):
    """What control needs of the model repository."""

    def load(
        self, name: str, config_json: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> None: ...
    def unload(self, name: str, unload_dependents: bool = False) -> None: ...
    def index(self, ready_only: bool = False) -> list[Any]: ...
    def find(self, name: str, version: str = "") -> Any: ...
    def is_ready(self, name: str, version: str = "") -> bool: ...
    def all_ready(self) -> bool: ...
    def loaded(self) -> list[Any]: ...
    def has_labels(self, name: str) -> bool: ...
    def rollout(self, name: str) -> Json: ...
    def set_rollout(self, name: str, given: Mapping[str, Any]) -> None: ...
    def roll_back(self, name: str) -> None: ...
    def must_summon(self, name: str) -> bool: ...
    def summon(self, name: str) -> None: ...


class ControlPlane:
    """The control half of the API."""

    def __init__(
        self,
        repository: Repository,
        settings: ServerSettings,
        shared_regions: SharedRegions | None = None,
        log: LogControl | None = None,
        trace: TraceControl | None = None,
    ) -> None:
        self._repository = repository
        self._settings = settings
        self.shared_memory = SharedMemory(shared_regions)
        self.log = LogControl(settings.log) if log is None else log
        self._trace = trace
        self.stopping = False
        """Set once, when the server starts to stop: it is alive, but no longer ready."""

    def ready(self) -> bool:
        """Whether requests should be sent here. Strict: only if every model that should be there is."""
        if self.stopping:
            return False
        return self._repository.all_ready() if self._settings.repository.strict_readiness else True

    def server_metadata(self) -> Json:
        """Name, version and extensions."""
        return {
            "name": self._settings.server_id,
            "version": SERVER_VERSION,
            "extensions": [
                *EXTENSIONS,
                *(() if self._trace is None else ("trace",)),
                *self.shared_memory.extensions,
            ],
        }

    def model_ready(self, name: str, version: str) -> bool:
        """Whether this version (any, if "") is served. Raises NotFound or InvalidArgument."""
        return self._repository.is_ready(name, version)

    def must_bring(self, name: str) -> bool:
        """Whether a model has to be loaded before what it is like can be told: then ``bring`` it."""
        return self._repository.must_summon(name)

    def bring(self, name: str) -> None:
        """Loads it, if it is not there. Blocks. Raises Unavailable with the reason when that fails."""
        try:
            self._repository.summon(name)
        except (InvalidArgument, Internal) as error:
            raise Unavailable(error.message) from error

    def model_metadata(self, name: str, version: str) -> Json:
        """Name, versions, platform, inputs and outputs."""
        served: ServedVersion = self._repository.find(name, version)
        config = served.config
        # With a version named, that one is the list; without, all that are ready: as Triton answers.
        versions = [served.version] if version else sorted(served.versions)
        return {
            "name": served.name,
            "versions": [str(number) for number in versions],
            "platform": config.platform or config.backend,
            "inputs": [_tensor_metadata(config, tensor) for tensor in config.inputs],
            "outputs": [_tensor_metadata(config, tensor) for tensor in config.outputs],
        }

    def model_config(self, name: str, version: str) -> ModelConfig:
        """The configuration, completed with defaults."""
        served: ServedVersion = self._repository.find(name, version)
        return served.config

    def statistics(self, name: str, version: str) -> Json:
        """Cumulative statistics of one version, all versions of a model, or all models (``name`` "")."""
        found: list[ServedVersion] = self._repository.loaded()
        if name:
            found = [served for served in found if name in (served.name, served.key)]
            if not found:
                raise InvalidArgument(f"requested model '{name}' is not available")
        if version:
            labelled = version[:1].isalpha() and self._repository.has_labels(name)
            number = self._repository.find(name, version).version if labelled else version_number(version)
            found = [served for served in found if served.version == number]
            if not found:
                raise InvalidArgument(f"requested model version is not available for model '{name}'")
        ordered = sorted(found, key=lambda served: (served.name, served.namespace, served.version))
        return {"model_stats": [_statistics(served) for served in ordered]}

    def index(self, repository_name: str, ready_only: bool) -> list[Json]:
        """All models that were seen, with the state of their versions."""
        if repository_name:
            raise Unsupported(_NO_REPOSITORY_NAME)
        rows: list[IndexRow] = self._repository.index(ready_only)
        return [
            {"name": row.name}
            | ({"version": row.version} if row.version else {})
            | ({"state": row.state} if row.state else {})
            | ({"reason": row.reason} if row.reason else {})
            for row in rows
        ]

    def load(self, repository_name: str, name: str, parameters: Json) -> None:
        """Loads or reloads a model. Blocks until it serves; the old one serves until then."""
        self._check_explicit(repository_name)
        config, files = read_load_parameters(name, parameters)
        if files and not self._settings.repository.load_files:
            raise Unsupported("files with a load are not allowed: the server has --allow-load-files=false")
        self._repository.load(name, config, files)

    def unload(self, repository_name: str, name: str, parameters: Json) -> None:
        """Unloads a model. What waits for it is answered first."""
        self._check_explicit(repository_name)
        dependents = False
        for key, value in parameters.items():
            if key != "unload_dependents":
                raise InvalidArgument(f"unload of '{name}': unrecognized parameter '{key}'")
            if not isinstance(value, bool):
                raise InvalidArgument("unload parameter 'unload_dependents' should be a bool")
            dependents = value
        self._repository.unload(name, dependents)

    def has_labels(self, name: str) -> bool:
        """Whether versions of the model have labels."""
        return self._repository.has_labels(name)

    def rollout(self, name: str) -> Json:
        """How the requests for a model are spread over its versions: labels, split and shadow."""
        return self._repository.rollout(name)

    def update_rollout(self, name: str, given: Json) -> None:
        """Has them spread otherwise at once; ``{"rollback": true}`` undoes the last change."""
        if "rollback" not in given:
            self._repository.set_rollout(name, given)
            return
        if given != {"rollback": True}:
            raise InvalidArgument("'rollback' should be true, and stand alone")
        self._repository.roll_back(name)

    def trace_setting(self, model: str) -> Json:
        """How requests for a model, or for all ("") that have no setting of their own, are traced."""
        return dict(self._traces(model).shown(model))

    def update_trace_setting(self, model: str, values: Values) -> None:
        """Changes that; see ``TraceControl.update``."""
        self._traces(model).update(values, model)

    def _traces(self, model: str) -> TraceControl:
        if self._trace is None:
            raise Unsupported("the server does not support trace")
        try:
            known = not model or self._repository.is_ready(model)
        except NotFound:
            known = False
        if not known:
            # As Triton, also in its words.
            raise InvalidArgument(f"Request for unknown model : {model}")
        return self._trace

    def _check_explicit(self, repository_name: str) -> None:
        if repository_name:
            raise Unsupported(_NO_REPOSITORY_NAME)
        if self._settings.repository.control_mode not in ("explicit", "ondemand"):
            raise Unavailable(_EXPLICIT_ONLY)


def version_number(version: str) -> int:
    """The number of a version named in a request. Raises InvalidArgument in Triton's words."""
    # A version is a positive int64; the bound keeps a name of a million digits out of int().
    if re.fullmatch(r"[0-9]{1,18}", version) is None:
        shown = version if len(version) <= 64 else version[:64] + "..."
        raise InvalidArgument(
            f"failed to get model version from specified version string '{shown}'"
            " (details: not a number), version should be an integral value > 0"
        )
    return int(version)


def _tensor_metadata(config: ModelConfig, tensor: TensorConfig) -> Json:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(config.wire_shape(tensor))}


def _duration(pair: tuple[int, int]) -> Json:
    return {"count": pair[0], "ns": pair[1]}


def _statistics(served: ServedVersion) -> Json:
    counted = served.model.statistics()
    return {
        "name": served.name,
        "version": str(served.version),
        "last_inference": counted["last_inference_ms"],
        "inference_count": counted["inference_count"],
        "execution_count": counted["execution_count"],
        "inference_stats": {name: _duration(counted[name]) for name in _DURATIONS},
        "response_stats": {
            str(place): {name: _duration(pair) for name, pair in tallies.items()}
            for place, tallies in counted["responses"].items()
        },
        "batch_stats": [
            {"batch_size": batch_size}
            | {step: _duration(pair) for step, pair in zip(_STEPS, steps, strict=True)}
            for batch_size, *steps in counted["batches"]
        ],
        "memory_usage": [],
    }
