"""Loads the versions of one model: from its directory to models that run and are not yet visible."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from naiad.backends.base import Backend, ModelFiles
from naiad.backends.registry import BackendRegistry
from naiad.config import (
    BackendCompletion,
    ModelConfig,
    ServerOptions,
    ignored_hints,
    parse_json,
    resolve,
)
from naiad.engine import Engine, Model, ModelSpec, WarmupSample
from naiad.ensemble import compile_ensemble, step_models
from naiad.errors import Unavailable, Unsupported
from naiad.protos import ModelConfig as ConfigMessage
from naiad.repository.expected_size import size_by_files
from naiad.repository.fingerprint import Fingerprint, content_digest, version_fingerprint
from naiad.repository.labels import read_labels
from naiad.repository.measure import Measure
from naiad.repository.memory_budget import MemoryBudget
from naiad.repository.rollout import PARAMETERS, configured_rollout
from naiad.repository.scan import ModelDirectory
from naiad.repository.sequences import SequenceTensors, sequence_tensors
from naiad.repository.served import LoadedVersion
from naiad.repository.specs import add_ragged, instance_specs, model_spec
from naiad.repository.version_policy import missing_versions, select_versions
from naiad.repository.warmups import warmup_samples
from naiad.settings import SchedulingSettings

_log = logging.getLogger("naiad.repository")


class LoadFailed(Exception):
    """Loading failed: which version, and why. Stays inside of the repository."""

    def __init__(self, version: int | None, error: Exception) -> None:
        super().__init__(str(error))
        self.version = version
        self.error = error


class ModelLoader:
    """Starts model versions in the engine. Any thread; several models at a time."""

    def __init__(
        self,
        engine: Engine,
        backends: BackendRegistry,
        find_step: Callable[[str, str, str], LoadedVersion],
        *,
        auto_complete: bool = True,
        runs_code: bool = True,
        config_name: str = "",
        num_gpus: int = 0,
        scheduling: SchedulingSettings | None = None,
        budget: MemoryBudget | None = None,
        measure: Measure | None = None,
    ) -> None:
        """``find_step``: a served model by the key of an ensemble, and name and version in a step of it.
        ``runs_code``: whether models that are code are loaded. ``budget``: has the claims of what is loaded,
        and refuses what has no room.
        """
        self._engine = engine
        self._backends = backends
        self._find_step = find_step
        self._auto_complete = auto_complete
        self._runs_code = runs_code
        self._config_name = config_name
        self._num_gpus = num_gpus
        self._scheduling = scheduling or SchedulingSettings()
        self._budget = budget or MemoryBudget()
        self._measure = measure or Measure()
        self._options = ServerOptions(
            gpu_backends=backends.on_gpu() if num_gpus else frozenset(),
            rate_limit=self._scheduling.rate_limit,
            cache=self._scheduling.keeps_answers,
            host_policies=frozenset(self._scheduling.host_policies),
        )

    def steps(self, directory: ModelDirectory, config_json: str | None) -> tuple[str, ...]:
        """The models that an ensemble's configuration names; none of another model. Raises LoadFailed."""
        message = self._read_config(directory, config_json)
        if message is None or not message.HasField("ensemble_scheduling"):
            return ()
        return step_models(ModelConfig(_as_ensemble(message)))

    def load(
        self,
        directory: ModelDirectory,
        config_json: str | None,
        seen: Fingerprint,
        served: Sequence[LoadedVersion] = (),
    ) -> list[LoadedVersion]:
        """All versions that the policy chooses, ascending; or none: what was started is stopped again when
        one fails.

        ``config_json`` takes the place of config.pbtxt. ``seen``: the directory's fingerprint. Those of
        ``served`` that did not change are among the result with the models that run already; where only
        their instances did, the models have changed these. Raises LoadFailed.
        """
        message = self._read_config(directory, config_json)
        versions = self._select(directory, message)
        old = {loaded.version: loaded for loaded in served}
        made: dict[int, LoadedVersion] = {}
        started: list[LoadedVersion] = []
        to_resize: list[LoadedVersion] = []

        def start(version: int, config: ModelConfig) -> None:
            loaded = self._start(directory, version, config, version_fingerprint(seen, version))
            made[version] = loaded
            started.append(loaded)

        try:
            for version in versions:
                config = self._resolve(directory, version, message)
                kept = old.get(version)
                if kept is None or not _is_same(kept, config, version_fingerprint(seen, version)):
                    start(version, config)
                    continue
                made[version] = replace(kept, config=config)
                if not _equal_but_for(("version_policy",), kept.config, config):
                    to_resize.append(made[version])
            # Last: it changes what serves already.
            for loaded in to_resize:
                if not self._resize(directory, loaded):
                    start(loaded.version, loaded.config)
        except LoadFailed:
            for loaded in started:
                with self._measure.ending(loaded.config, loaded.model):
                    self._engine.stop(loaded.model, drain=False)
                self._budget.release(loaded.claim)
            raise
        return [replace(made[version], versions=list(versions)) for version in versions]

    def _resize(self, directory: ModelDirectory, loaded: LoadedVersion) -> bool:
        """Has a running model have the instances of its new configuration. False: it has to be started anew,
        as its scheduler was made for those that it has. Raises LoadFailed.
        """
        files = ModelFiles(directory.name, loaded.version, directory.path, directory.root)
        try:
            factory = self._backends.get(loaded.config.backend).factory(loaded.config, files)
            specs = instance_specs(loaded.config, self._scheduling.host_policies)
            with self._measure.of(loaded.config) as taken:
                before = taken.of_workers(loaded.model)
                self._engine.resize(loaded.model, factory, specs)
                if loaded.claim is not None:
                    self._budget.grow(loaded.claim, taken.by(loaded.model, before))
        except Unsupported:
            return False
        except Exception as error:
            raise LoadFailed(loaded.version, error) from error
        _log.info(
            "'%s' version %d has %d instances now; it was not loaded again",
            loaded.name,
            loaded.version,
            len(specs),
        )
        return True

    def _read_config(self, directory: ModelDirectory, config_json: str | None) -> Any | None:
        try:
            if config_json is None:
                return directory.read_config(self._config_name)
            return parse_json(config_json)
        except Exception as error:
            raise LoadFailed(None, error) from error

    def _select(self, directory: ModelDirectory, message: Any | None) -> tuple[int, ...]:
        policy = ModelConfig(message if message is not None else ConfigMessage()).version_policy
        if message is not None and message.HasField("ensemble_scheduling") and not directory.versions:
            return (1,)  # nothing of it lies in a version directory
        try:
            for version in missing_versions(policy, directory.versions):
                _log.warning(
                    "model '%s' has no version %d, which its version policy names", directory.name, version
                )
            return select_versions(policy, directory.versions, model_name=directory.name)
        except Exception as error:
            raise LoadFailed(None, error) from error

    def _resolve(self, directory: ModelDirectory, version: int, message: Any | None) -> ModelConfig:
        files = ModelFiles(directory.name, version, directory.path, directory.root)
        try:
            config = resolve(
                message,
                model_name=directory.name,
                filenames=directory.filenames(),
                complete=self._completion(files) if self._auto_complete else None,
                options=self._options,
                num_gpus=self._num_gpus,
            )
            configured_rollout(config)  # is told of at once
        except Exception as error:
            raise LoadFailed(version, error) from error
        for field in ignored_hints(config.proto, self._options):
            _log.info("model '%s': '%s' is kept and has no effect", directory.name, field)
        return config

    def _start(
        self,
        directory: ModelDirectory,
        version: int,
        config: ModelConfig,
        seen: frozenset[tuple[str, int, int]],
    ) -> LoadedVersion:
        try:
            claim = self._budget.admit(directory.key, version, seen, size_by_files(config, seen))
        except Exception as error:
            raise LoadFailed(version, error) from error
        start_time_s = time.monotonic()
        try:
            with self._measure.of(config) as taken:
                config, labels, content, model = self._start_model(directory, version, config)
                duration_s = time.monotonic() - start_time_s
                took = taken.by(model)
            try:
                self._budget.settle(claim, took)
            except Unavailable:
                with self._measure.ending(config, model):
                    self._engine.stop(model, drain=False)
                raise
        except Exception as error:
            self._budget.release(claim)
            raise LoadFailed(version, error) from error
        _log.info(
            "loaded '%s' version %d in %.3f s; memory %+.1f MB",
            directory.key,
            version,
            duration_s,
            claim.main_bytes / 1e6,
        )
        return LoadedVersion(
            directory.name,
            version,
            config,
            model,
            duration_s,
            [],
            labels,
            content,
            seen,
            claim=claim,
            loaded_at_s=time.monotonic(),
            namespace=directory.namespace,
        )

    def _start_model(
        self, directory: ModelDirectory, version: int, config: ModelConfig
    ) -> tuple[ModelConfig, dict[str, tuple[str, ...]], str, Model]:
        files = ModelFiles(directory.name, version, directory.path, directory.root)
        labels = read_labels(directory, config)
        if config.is_ensemble:
            find_step = partial(self._find_step, directory.key)
            compiled = compile_ensemble(config, find_step)
            if compiled.decoupled:
                work = config.copy_proto()
                work.model_transaction_policy.decoupled = True
                config = ModelConfig(work)
            content = self._content_of_ensemble(config, version, find_step)
            spec = self._spec(config, version, labels, content)
            return config, labels, content, self._engine.start_ensemble(spec, compiled.plan)
        content = self._content(directory, version, config)
        factory = self._backend(config.backend, config).factory(config, files)
        sequence = sequence_tensors(config, directory.read)
        inputs = tuple(tensor.name for tensor in config.inputs)
        inputs += tuple(tensor.name for tensor in sequence.inputs) if sequence else ()
        warmups = warmup_samples(config, inputs, directory.read)
        spec = self._spec(config, version, labels, content, sequence, warmups)
        add_ragged(spec, config)
        model = self._engine.start(spec, factory, instance_specs(config, self._scheduling.host_policies))
        return config, labels, content, model

    def _spec(
        self,
        config: ModelConfig,
        version: int,
        labels: Mapping[str, tuple[str, ...]],
        content: str,
        sequence: SequenceTensors | None = None,
        warmups: Sequence[WarmupSample] = (),
    ) -> ModelSpec:
        """With what holds for all models of the server."""
        return model_spec(
            config,
            version,
            labels,
            sequence,
            warmups,
            unbounded_queue=self._scheduling.unbounded_queues,
            content=content,
            summaries=self._scheduling.summaries,
        )

    def _content(self, directory: ModelDirectory, version: int, config: ModelConfig) -> str:
        """Before it is loaded: what changes meanwhile is then not taken for what was loaded."""
        if self._scheduling.redis is None or config.decoupled:
            return ""
        return content_digest(directory.path, version, _written(config))

    def _content_of_ensemble(
        self, config: ModelConfig, version: int, find_step: Callable[[str, str], LoadedVersion]
    ) -> str:
        """Of its graph and all its steps; "" where one of them has none."""
        if self._scheduling.redis is None or config.decoupled:
            return ""
        whole = hashlib.sha256(_written(config) + str(version).encode())
        for step in config.proto.ensemble_scheduling.step:
            wanted = "" if step.model_version < 0 else str(step.model_version)
            content = find_step(step.model_name, wanted).content
            if not content:
                return ""
            whole.update(content.encode())
        return whole.hexdigest()

    def _backend(self, name: str, config: ModelConfig) -> Backend:
        """Before it looks at the model's files. Raises Unsupported where they are code that may not run."""
        backend = self._backends.get(name)
        if not self._runs_code and backend.runs_code(config):
            raise Unsupported(
                f"a model of backend '{name}' may be code, or bring some, and --allow-repository-code=false "
                "lets none run"
            )
        return backend

    def _completion(self, files: ModelFiles) -> Callable[[str], BackendCompletion | None]:
        def of_backend(name: str) -> BackendCompletion | None:
            return lambda config: self._backend(name, config).auto_complete(config, files)

        return of_backend


def _is_same(served: LoadedVersion, config: ModelConfig, files: frozenset[tuple[str, int, int]]) -> bool:
    """Whether the model that runs is the one to serve, but for its instances. Never an ensemble: it is made
    for the models of its steps as they are."""
    if config.is_ensemble or served.files != files:
        return False
    return _equal_but_for(("version_policy", "instance_group"), served.config, config)


def _equal_but_for(fields: tuple[str, ...], one: ModelConfig, other: ModelConfig) -> bool:
    """Those of ``version_labels`` and the like do not count either: no model sees what they do."""
    texts = []
    for config in (one, other):
        message = config.copy_proto()
        for name in fields:
            message.ClearField(name)
        for name in PARAMETERS:
            message.parameters.pop(name, None)
        texts.append(message.SerializeToString(deterministic=True))
    return bool(texts[0] == texts[1])


def _written(config: ModelConfig) -> bytes:
    return bytes(config.proto.SerializeToString(deterministic=True))


def _as_ensemble(message: Any) -> Any:
    """With the platform that goes without saying."""
    work = ConfigMessage()
    work.CopyFrom(message)
    work.platform = "ensemble"
    return work
