"""What a configuration says to TensorRT, and ``--backend-config=tensorrt,...`` to all its models."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from naiad.backends.gpu_options import GpuOptions, gpu_options
from naiad.backends.words import YES_NO
from naiad.config import ModelConfig
from naiad.errors import ConfigError, InvalidArgument

ALLOCATIONS = ("STATIC", "ON_PROFILE_CHANGE")
_ALLOCATION = "execution_context_allocation_strategy"
_POLICIES = ("BLOCKING", "DEVICE_BLOCKING")
OPTION_NAMES = frozenset({"coalesce-request-input", "execution-policy", "plugins", "version-compatible"})


@dataclass(frozen=True)
class ServerWideOptions:
    """Of all models."""

    plugins: tuple[str, ...] = ()
    """Libraries with further operators, loaded before the first engine."""
    version_compatible: bool = False
    """Whether an engine may bring the runtime that it was made for: code, which is then run."""


def server_wide_options(options: Mapping[str, str]) -> ServerWideOptions:
    """Raises ConfigError for a value that an option can not have.

    ``coalesce-request-input`` and ``execution-policy`` are taken and change nothing: the inputs of a batch
    always lie in one piece here, and each instance always has its own thread.
    """
    policy = options.get("execution-policy", "BLOCKING")
    if policy not in _POLICIES:
        raise ConfigError(
            f"--backend-config=tensorrt,execution-policy must be {' or '.join(_POLICIES)}, got '{policy}'"
        )
    _flag(options, "coalesce-request-input")
    return ServerWideOptions(
        plugins=tuple(path for path in options.get("plugins", "").split(";") if path),
        version_compatible=_flag(options, "version-compatible"),
    )


def _flag(options: Mapping[str, str], name: str) -> bool:
    word = options.get(name, "false").lower()
    if word not in YES_NO:
        raise ConfigError(f"--backend-config=tensorrt,{name} must be true or false, got '{options[name]}'")
    return YES_NO[word]


def load_plugins(plugins: tuple[str, ...]) -> None:
    """Loads the libraries; again does nothing. Raises InvalidArgument for one that can not be loaded."""
    for path in plugins:
        try:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            said = str(error).replace(path, Path(path).name)
            raise InvalidArgument(
                f"plugin '{Path(path).name}' of --backend-config=tensorrt,plugins can not be loaded: {said}"
            ) from None


@dataclass(frozen=True)
class TensorRtOptions(GpuOptions):
    """Of one model."""

    allocation: str = "STATIC"
    """How a context gets its memory: of ``ALLOCATIONS``."""


def tensorrt_options(config: ModelConfig) -> TensorRtOptions:
    """Raises ConfigError, in Triton's words, for values that can not be."""
    allocation = config.parameters.get(_ALLOCATION, "STATIC")
    if allocation not in ALLOCATIONS:
        raise ConfigError(
            f"Invalid value for '{_ALLOCATION}': '{allocation}' for model instance '{config.name}'. "
            "Supported values are 'STATIC' and 'ON_PROFILE_CHANGE'.",
            field="parameters",
        )
    return TensorRtOptions(**vars(gpu_options(config)), allocation=allocation)
