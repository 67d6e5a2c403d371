"""Flags about how models come and go, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from naiad.cli.flags import ControlMode, file_flag, flag, switch_flag
from naiad.cli.values import Switch

_MODELS = "Models"

ControlModeFlag = Annotated[
    ControlMode,
    flag(
        "--model-control-mode",
        _MODELS,
        "none: all models at start; explicit: by request; poll: as they appear, change and go; ondemand: "
        "with their first inference request.",
    ),
]
LoadModel = Annotated[
    list[str] | None,
    flag(
        "--load-model",
        _MODELS,
        "Model to load at start in explicit or ondemand mode, where it then stays; * is all. Repeatable.",
        metavar="NAME",
    ),
]
PollSeconds = Annotated[
    int, flag("--repository-poll-secs", _MODELS, "Between two looks at the repositories.", min=1)
]
MemoryLimit = Annotated[
    str,
    flag(
        "--model-memory-limit",
        _MODELS,
        "Main memory for all models, 15 % headroom included: 16GB. What would take more is not loaded.",
        metavar="SIZE",
    ),
]
GpuLimits = Annotated[
    list[str] | None,
    flag(
        "--model-load-gpu-limit",
        _MODELS,
        "Part of a GPU's memory that may be in use for a model to be loaded. Repeatable.",
        metavar="DEVICE:FRACTION",
    ),
]
GpuPoolSizes = Annotated[
    list[str] | None,
    flag(
        "--cuda-memory-pool-byte-size",
        "Server",
        "Free memory of a GPU that is kept for further batches. Repeatable. [default: 67108864 each]",
        metavar="DEVICE:BYTES",
    ),
]
RepositoryCache = Annotated[
    str,
    file_flag("--repository-cache-directory", _MODELS, "Keeps models from elsewhere; else a temporary one."),
]
ExitOnError = Annotated[
    Switch, switch_flag("--exit-on-error", _MODELS, "Do not start when a model fails to load.")
]
StrictReadiness = Annotated[
    Switch, switch_flag("--strict-readiness", _MODELS, "Ready only when every model is ready.")
]
NoAutoComplete = Annotated[
    Switch,
    switch_flag("--disable-auto-complete-config", _MODELS, "Take configurations as they are written."),
]
LoadThreads = Annotated[
    int, flag("--model-load-thread-count", _MODELS, "Models that load at the same time.", min=1)
]
LoadRetries = Annotated[
    int, flag("--model-load-retry-count", _MODELS, "How often a load that fails is tried again.", min=0)
]
LoadFiles = Annotated[
    Switch,
    switch_flag("--allow-load-files", _MODELS, "Explicit mode: loads may bring a model's files."),
]
RepositoryCode = Annotated[
    Switch,
    switch_flag("--allow-repository-code", _MODELS, "Models may be code: Python, PyTorch, engines."),
]
ConfigName = Annotated[
    str, flag("--model-config-name", _MODELS, "Take configs/NAME.pbtxt of models that have it.")
]
Namespacing = Annotated[
    Switch,
    switch_flag("--model-namespacing", _MODELS, "Repositories may have models of equal names."),
]


def check_modes(mode: ControlMode, load_model: Sequence[str], namespacing: bool) -> None:
    """Raises BadParameter for flags that do not go with the mode."""
    if load_model and mode not in (ControlMode.explicit, ControlMode.ondemand):
        raise typer.BadParameter("needs --model-control-mode=explicit or ondemand", param_hint="--load-model")
    if namespacing and mode is ControlMode.ondemand:
        raise typer.BadParameter(
            "does not go with --model-control-mode=ondemand", param_hint="--model-namespacing"
        )
