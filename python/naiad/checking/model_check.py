"""One model: its directory, its configuration, the files that this names."""

from __future__ import annotations

from typing import Any

from naiad import protos
from naiad.backends.base import Backend, ModelFiles
from naiad.backends.isolated import IsolatedBackend
from naiad.backends.registry import BackendRegistry
from naiad.checking.problem import Level, Problem
from naiad.config import (
    ModelConfig,
    ServerOptions,
    complete_backend,
    complete_defaults,
    ignored_hints,
    unsupported_fields,
)
from naiad.config.positions import field_lines, line_of
from naiad.config.validate import problems
from naiad.errors import ConfigError, NaiadError, Unsupported
from naiad.repository.labels import read_labels
from naiad.repository.scan import CONFIG_FILENAME, ModelDirectory
from naiad.repository.sequences import sequence_tensors
from naiad.repository.version_policy import missing_versions, select_versions
from naiad.repository.warmups import warmup_samples

_FP32 = protos.pool.FindEnumTypeByName("inference.DataType").values_by_name["TYPE_FP32"].number
_COMPLETES_BY_CONFIGURATION = frozenset({"vllm"})
"""Backends that complete a configuration without a look at the model."""
_NO_COMPLETION = frozenset({"pytorch", "identity", ""})
"""Backends whose models do not always say what their tensors are, so that a configuration must."""


class ModelCheck:
    """Looks at one model. ``problems`` grows; ``config`` is the configuration, as far as it could be made."""

    def __init__(
        self,
        directory: ModelDirectory,
        backends: BackendRegistry,
        *,
        num_gpus: int,
        options: ServerOptions,
        complete: bool,
    ) -> None:
        """``complete``: read the model's file for what the configuration leaves out, as the server does."""
        self._directory = directory
        self._backends = backends
        self._num_gpus = num_gpus
        self._options = options
        self._complete = complete
        self._lines: dict[str, int] = {}
        self._has_file = False
        self.name = directory.name
        self.problems: list[Problem] = []
        self.config: ModelConfig | None = None
        self.states_all_tensors = False
        """The configuration has every input and output, with data types and dims."""

    def run(self) -> None:
        """Once."""
        work = self._read()
        if work is None:
            return
        with _Catch(self):
            complete_backend(work, model_name=self.name, filenames=self._directory.filenames())
        backend = self._backend(work.backend) if work.backend else None
        versions = self._versions(work)
        if backend is not None and versions:
            work = self._completed(backend, work, versions[-1])
        self.states_all_tensors = _states_all(work)
        self._placeholders(work)
        gpus = self._num_gpus if work.backend in self._options.gpu_backends else 0
        complete_defaults(work, num_gpus=gpus)
        for error in problems(work, model_name=self.name, num_gpus=gpus):
            self.add(error)
        for field in unsupported_fields(work, self._options):
            self.add(ConfigError(f"'{field}' is not supported by this server", field=field.split(":")[0]))
        for field in ignored_hints(work, self._options):
            self.add(ConfigError(f"'{field}' is kept and has no effect", field=field), "warning")
        self.config = ModelConfig(work)
        self._files(self.config, backend, versions)

    def add(self, error: NaiadError, level: Level = "error") -> None:
        """Notes what an error says, with its line where the configuration has one."""
        field = (error.field or "") if isinstance(error, ConfigError) else ""
        message = error.reason if isinstance(error, ConfigError) else str(error)
        line = error.line if isinstance(error, ConfigError) else None
        if line is None and self._has_file:
            line = line_of(field, self._lines)
        file = f"{self.name}/{CONFIG_FILENAME}" if self._has_file and (field or line) else ""
        problem = Problem(self.name, level, message, file, line, field)
        if problem not in self.problems:
            self.problems.append(problem)

    def _read(self) -> Any | None:
        try:
            self._has_file = self._directory.file(CONFIG_FILENAME).is_file()
            if self._has_file:
                text = self._directory.read(CONFIG_FILENAME)
                self._lines = field_lines(text.decode(errors="replace"))
            message = self._directory.read_config()
        except NaiadError as error:
            self.add(error)
            return None
        work = protos.ModelConfig()
        if message is not None:
            work.CopyFrom(message)
        return work

    def _backend(self, name: str) -> Backend | None:
        try:
            return self._backends.get(name)
        except NaiadError as error:
            self.add(ConfigError(str(error), field="backend"))
            return None

    def _versions(self, work: Any) -> tuple[int, ...]:
        if work.HasField("ensemble_scheduling"):
            return ()
        policy = ModelConfig(work).version_policy
        for version in missing_versions(policy, self._directory.versions):
            self.add(ConfigError(f"there is no version {version}", field="version_policy"), "warning")
        if not self._directory.versions:
            self.add(ConfigError(f"model '{self.name}' has no version: put its file into '{self.name}/1/'"))
            return ()
        with _Catch(self):
            return select_versions(policy, self._directory.versions, model_name=self.name)
        return ()

    def _completed(self, backend: Backend, work: Any, version: int) -> Any:
        if not self._complete and backend.name not in _COMPLETES_BY_CONFIGURATION:
            return work
        try:
            return backend.auto_complete(ModelConfig.of(work), self._version_files(version)).copy_proto()
        except NaiadError as error:
            self.add(error, "warning" if isinstance(error, Unsupported) else "error")
            return work

    def _placeholders(self, work: Any) -> None:
        """What the model's file says is not missing."""
        if work.backend in _NO_COMPLETION:
            return
        for tensor in (*work.input, *work.output):
            tensor.data_type = tensor.data_type or _FP32
            if not tensor.dims:
                tensor.dims.append(-1)
                tensor.ClearField("reshape")

    def _files(self, config: ModelConfig, backend: Backend | None, versions: tuple[int, ...]) -> None:
        with _Catch(self, "output.label_filename"):
            read_labels(self._directory, config)
        with _Catch(self):
            sequence = sequence_tensors(config, self._directory.read)
            names = [tensor.name for tensor in config.inputs]
            names += [tensor.name for tensor in sequence.inputs] if sequence else []
            if self.states_all_tensors:
                warmup_samples(config, tuple(names), self._directory.read)
        if backend is None or self.problems_of_config:
            return
        for version in versions:
            files = self._version_files(version)
            with _Catch(self, "default_model_filename"):
                if isinstance(backend, IsolatedBackend):
                    if self._complete or self.states_all_tensors or not backend.completes(config, files):
                        backend.check(config, files)
                elif backend.default_filename:
                    files.find(config, backend.default_filename)

    @property
    def problems_of_config(self) -> bool:
        """Whether the configuration has errors: others may only follow from them."""
        return any(problem.level == "error" for problem in self.problems)

    def _version_files(self, version: int) -> ModelFiles:
        return ModelFiles(self.name, version, self._directory.path, self._directory.root)


class _Catch:
    """Errors become problems; what this machine alone lacks becomes a warning."""

    def __init__(self, check: ModelCheck, field: str = "") -> None:
        """``field``: what an error that names none is about."""
        self._check = check
        self._field = field

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, NaiadError):
            return False
        lacks = isinstance(error, Unsupported) and "pip install" in str(error)
        if not isinstance(error, ConfigError):
            error = ConfigError(str(error), field=self._field)
        self._check.add(error, "warning" if lacks else "error")
        return True


def _states_all(work: Any) -> bool:
    tensors = (*work.input, *work.output)
    stated = bool(work.input) and bool(work.output)
    return stated and all(tensor.data_type and tensor.dims for tensor in tensors)
