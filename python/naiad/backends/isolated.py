"""Backends whose instances run in worker processes, or on threads of the server's own process."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from naiad.backends.base import InstanceBackend, InstancePlace, ModelFiles
from naiad.backends.python.environment import Environments
from naiad.backends.python.worker_process import Workers, complete_in_worker
from naiad.backends.words import YES_NO
from naiad.config import ModelConfig
from naiad.engine import worker_factory
from naiad.errors import ConfigError, Unsupported

if TYPE_CHECKING:
    from naiad.engine import BackendFactory, BatchInstance, PythonInstance

ISOLATION_OPTIONS = frozenset({"install-requirements", "isolation", "stub-timeout-seconds"})
"""The ``--backend-config`` options that all of these backends have."""

ENVIRONMENT = "EXECUTION_ENV_PATH"
FORK = "fork_after_load"

_LONGEST_S = 1e9


class IsolatedBackend(InstanceBackend):
    """One object per instance, each in a process of its own unless the model says otherwise.

    Parameters of a configuration: ``isolation`` ("process", the default, or "thread": on the thread of the
    instance in the server's own process, which is quicker and lets a model take the server down; the option
    ``isolation`` of the backend is for models that do not say). Of a process: ``execute_timeout_seconds``
    ends one that is longer busy with a batch, ``load_timeout_seconds`` one that is longer loading; 0, the
    default, is any time. ``EXECUTION_ENV_PATH`` names the environment that its processes run in, a directory
    or an archive; with the option ``install-requirements`` one is made from the requirements.txt in the
    model's directory. ``fork_after_load`` ("yes"): the model's code is loaded once, by a process that forks
    the workers, which share what it has loaded. The option ``stub-timeout-seconds`` is how long a process may
    take to end.
    """

    option_names: ClassVar[frozenset[str] | None] = ISOLATION_OPTIONS
    default_isolation: ClassVar[str] = "process"

    pinned_limit_bytes: int = 0
    """How much of each side's memory a worker may pin for its GPU."""
    arenas: Sequence[tuple[int, int, bool]] = ()
    """In a worker: the memory that it shares with its server, by address, bytes, and whether it may write."""

    def runs_code(self, config: ModelConfig) -> bool:
        """It does, or its environment is code."""
        return True

    def auto_complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """What ``complete`` says: called where the model's code runs."""
        if not self.completes(config, files):
            return config
        if self.isolation(config, files) == "thread":
            return self.complete(config, files)
        python = self._environments.find(config, files)
        return complete_in_worker(config, files, python, self.name, self.options)

    def completes(self, config: ModelConfig, files: ModelFiles) -> bool:
        """Whether ``complete`` could have something to say. Runs no code of the model's."""
        del config, files
        return False

    def complete(self, config: ModelConfig, files: ModelFiles) -> ModelConfig:
        """``auto_complete``'s work. In the server or in a process of its own."""
        del files
        return config

    @abstractmethod
    def check(self, config: ModelConfig, files: ModelFiles) -> None:
        """Refuses what is not served, as far as that can be told without the model's code or its framework.

        Raises errors of ``naiad.errors``.
        """

    def preload(self, config: ModelConfig, files: ModelFiles) -> None:
        """Loads what the instances that are forked later share. In a process of its own."""
        del config
        raise Unsupported(f"model '{files.name}': the {self.name} backend has no {FORK}")

    @abstractmethod
    def make_instance(
        self, config: ModelConfig, files: ModelFiles, place: InstancePlace
    ) -> PythonInstance | BatchInstance:
        """Loads the model for one instance, in the worker or on the instance's thread."""

    def factory(self, config: ModelConfig, files: ModelFiles) -> BackendFactory:
        """The model's file is read when an instance is made."""
        self.check(config, files)
        if self.isolation(config, files) == "thread":
            return super().factory(config, files)
        python = self._environments.find(config, files)
        if self.engine is None:
            return super().factory(config, files)
        load_timeout_s = _seconds(config, files, "load_timeout_seconds")
        workers = Workers(
            config,
            files,
            python,
            self.services,
            self.name,
            self.options,
            forks=_forks(config, files),
            pinned_bytes=self.pinned_limit_bytes,
            load_timeout_s=load_timeout_s,
        )
        return worker_factory(
            self.engine,
            workers.start,
            workers.ask,
            start_limit_s=load_timeout_s,
            execute_limit_s=_seconds(config, files, "execute_timeout_seconds"),
            stop_limit_s=float(self.options.get("stub-timeout-seconds", "30")),
        )

    def isolation(self, config: ModelConfig, files: ModelFiles) -> str:
        """ "process" or "thread". Raises ConfigError for another word."""
        word = config.parameters.get("isolation", self.options.get("isolation", self.default_isolation))
        if word not in ("process", "thread"):
            raise ConfigError(
                f"model '{files.name}': parameter isolation must be 'process' or 'thread', got '{word}'",
                field="parameters",
            )
        for parameter in (ENVIRONMENT, FORK):
            if word == "thread" and parameter in config.parameters:
                raise ConfigError(
                    f"model '{files.name}': {parameter} needs a process, and isolation is 'thread'",
                    field="parameters",
                )
        return word

    def brings_packages(self, config: ModelConfig) -> bool:
        """Whether the model runs with others than those of the server's environment."""
        return ENVIRONMENT in config.parameters or self._environments.installs_requirements

    def require_package(self, package: str, config: ModelConfig) -> None:
        """Raises Unsupported, with what to install, where the server's environment lacks it and the model has
        no other. ``package`` is an extra of naiad's too.
        """
        if not self.brings_packages(config) and importlib.util.find_spec(package) is None:
            raise Unsupported(f"the {self.name} backend needs {package}: pip install 'naiad[{package}]'")

    @cached_property
    def _environments(self) -> Environments:
        word = self.options.get("install-requirements", "no")
        if word not in YES_NO:
            raise ConfigError(
                f"--backend-config={self.name},install-requirements must be yes or no, got '{word}'"
            )
        return Environments(installs_requirements=YES_NO[word])


def _forks(config: ModelConfig, files: ModelFiles) -> bool:
    word = config.parameters.get(FORK, "no")
    if word not in YES_NO:
        raise ConfigError(
            f"model '{files.name}': parameter {FORK} must be 'yes' or 'no', got '{word}'", field="parameters"
        )
    return YES_NO[word]


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
