"""Flags about how models come and go, by name."""

from __future__ import annotations

from typing import Annotated

from naiad.cli.flags import ControlMode, file_flag, flag, switch_flag
from naiad.cli.values import Switch

_MODELS = "Models"

ControlModeFlag = Annotated[
    ControlMode,
    flag(
        "--model-control-mode",
        _MODELS,
        "none: all models at start; explicit: by request; poll: as they appear, change and go.",
    ),
]
LoadModel = Annotated[
    list[str] | None,
    flag(
        "--load-model",
        _MODELS,
        "Model to load at start in explicit mode; * is all. Repeatable.",
        metavar="NAME",
    ),
]
PollSeconds = Annotated[
    int, flag("--repository-poll-secs", _MODELS, "Between two looks at the repositories.", min=1)
]
RepositoryCache = Annotated[
    str,
    file_flag("--repository-cache-directory", _MODELS, "Keeps models from elsewhere; else a temporary one."),
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
ConfigName = Annotated[
    str, flag("--model-config-name", _MODELS, "Take configs/NAME.pbtxt of models that have it.")
]
