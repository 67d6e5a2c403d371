"""``model.json``: the arguments of a model's engine, and ``multi_lora.json``: its adapters.

What is said here needs no vLLM. Names and values of the arguments are vLLM's business, when it starts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.backends.base import ModelFiles
from naiad.backends.vllm.contract import CLASSIFY, EMBED, GENERATE, TASKS
from naiad.config import ModelConfig
from naiad.errors import ConfigError

MODEL_FILE = "model.json"
ADAPTERS_FILE = "multi_lora.json"

_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"
_PATHS = ("model", "tokenizer", "hf_config_path", "chat_template", "download_dir")


@dataclass(frozen=True)
class EngineArguments:
    """What ``model.json`` says."""

    values: dict[str, Any]
    """For ``vllm.AsyncEngineArgs``."""
    task: str
    """generate, embed or classify."""
    adapters: dict[str, str] | None
    """LoRA adapters: name -> where it lies. None: the model takes none."""
    where: str
    """Model and file, for messages."""

    @property
    def num_devices(self) -> int:
        """How many devices one engine uses."""
        return int(self.values.get("tensor_parallel_size", 1) * self.values.get("pipeline_parallel_size", 1))


def read_model_json(config: ModelConfig, files: ModelFiles) -> EngineArguments:
    """Raises InvalidArgument where the file is missing, ConfigError where it contradicts itself."""
    path = files.find(config, MODEL_FILE)
    values = _read_object(path, files)
    where = f"model '{files.name}': {path.name}"
    for name in _PATHS:
        if isinstance(values.get(name), str):
            values[name] = _in_directory(values[name], files)
    task = _take_task(values, where)
    if "enable_lora" in values:
        values["enable_lora"] = _boolean(values["enable_lora"], f"{where}: enable_lora")
    adapters = _read_adapters(files) if values.get("enable_lora") else None
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        if name in values:
            values[name] = _count(values[name], f"{where}: {name}")
    arguments = EngineArguments(values, task, adapters, where)
    if arguments.num_devices > 1 and any(group.kind == "KIND_GPU" for group in config.instance_groups):
        raise ConfigError(
            f"model '{files.name}': KIND_GPU is for models on one GPU; an engine with tensor_parallel_size * "
            f"pipeline_parallel_size = {arguments.num_devices} needs KIND_MODEL",
            field="instance_group.kind",
        )
    return arguments


def _take_task(values: dict[str, Any], where: str) -> str:
    """``task`` is a word of older versions of vLLM: ``runner`` and ``convert`` say the same."""
    task = values.pop("task", None)
    if task is not None:
        if task not in TASKS:
            raise ConfigError(f"{where}: task must be one of {', '.join(TASKS)}, got {task!r}")
        runner = "generate" if task == GENERATE else "pooling"
        convert = "none" if task == GENERATE else str(task)
        for name, meant in (("runner", runner), ("convert", convert)):
            said = values.setdefault(name, meant)
            if said not in (meant, "auto"):
                raise ConfigError(f"{where}: task {task!r} and {name} {said!r} contradict each other")
        return str(task)
    if values.get("runner", "auto") != "pooling":
        return GENERATE
    return CLASSIFY if values.get("convert") == "classify" else EMBED


def _read_adapters(files: ModelFiles) -> dict[str, str]:
    path = files.version_directory / ADAPTERS_FILE
    if not path.is_file():
        raise ConfigError(
            f"model '{files.name}': enable_lora needs '{files.name}/{files.version}/{ADAPTERS_FILE}', with "
            "the name and the place of each adapter"
        )
    adapters = _read_object(path, files)
    for name, place in adapters.items():
        if not isinstance(place, str) or not place or not name:
            raise ConfigError(
                f"model '{files.name}': {ADAPTERS_FILE} must give the place of adapter '{name}' as text"
            )
        adapters[name] = _in_directory(place, files)
        if Path(adapters[name]).is_absolute() and not Path(adapters[name]).is_dir():
            raise ConfigError(f"model '{files.name}': {ADAPTERS_FILE}: adapter '{name}' is not there")
    return adapters


def _read_object(path: Path, files: ModelFiles) -> dict[str, Any]:
    place = f"{files.name}/{files.version}/{path.name}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError(error.msg, file=place, line=error.lineno, column=error.colno) from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigError("this is no JSON text", file=place) from None
    except OSError as error:
        raise ConfigError(f"can not be read: {error.strerror}", file=place) from None
    if not isinstance(found, dict):
        raise ConfigError("must hold a JSON object", file=place)
    return found


def _in_directory(place: str, files: ModelFiles) -> str:
    """A place within the model's directory is written with the word that EXECUTION_ENV_PATH has for it."""
    return place.replace(_DIRECTORY, str(files.directory), 1) if place.startswith(_DIRECTORY) else place


def _boolean(value: object, where: str) -> bool:
    """Triton takes text too."""
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ConfigError(f"{where} must be true or false, got {value!r}")
    return word == "true"


def _count(value: object, where: str) -> int:
    """Triton takes text too."""
    word = str(value)
    if not word.isdecimal() or int(word) < 1:
        raise ConfigError(f"{where} must be a number of at least 1, got {value!r}")
    return int(word)
