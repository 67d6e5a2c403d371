"""Sizes of the models that paths hold, by the sizes of their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from naiad import protos
from naiad.config import ModelConfig, complete_backend, is_inside, parse_pbtxt
from naiad.errors import InvalidArgument, NaiadError
from naiad.planning.language_model import engine_size, gguf_size
from naiad.planning.model_size import ModelSize
from naiad.repository.expected_size import WEIGHTS
from naiad.repository.scan import CONFIG_FILENAME
from naiad.staging.found import FoundModel, find_models, model_name
from naiad.staging.unservable import Unservable

_ENGINE = "model.json"
_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"
"""The model's own folder, in its model.json."""


def sizes_of(path: Path, kv_tokens: int | None) -> Iterator[ModelSize]:
    """Of all models there. Raises Unservable where there is none, NaiadError for a file that is wrong."""
    if path.suffix == ".gguf" and path.is_file():
        yield gguf_size(model_name(path.stem), path, kv_tokens)
        return
    for model in find_models(path).models:
        yield found_size(model, kv_tokens)


def found_size(model: FoundModel, kv_tokens: int | None) -> ModelSize:
    """By its files; for what runs code of its own, by the weights that lie with it."""
    if "" in model.links:
        return _folder_size(model.links[""], kv_tokens)
    if model.backend == "vllm":
        return engine_size(model.name, json.loads(model.texts[f"1/{_ENGINE}"]), kv_tokens)
    return _by_files(model.name, model.backend, model.links.values(), _instances(None))


def _folder_size(folder: Path, kv_tokens: int | None) -> ModelSize:
    """A model in Triton's layout: its highest version."""
    config = folder / CONFIG_FILENAME
    name = folder.name
    message = protos.ModelConfig()
    if config.is_file():
        message = parse_pbtxt(config.read_bytes(), file=f"{name}/{CONFIG_FILENAME}")
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]
    if message.HasField("ensemble_scheduling") or message.platform == "ensemble":
        return ModelSize(name, 0, detail="an ensemble: its steps are counted")
    if not versions:
        raise Unservable(f"model '{name}' has no version", next_step=f"put its file into '{folder / '1'}'")
    version = max(versions, key=lambda entry: int(entry.name))
    if (version / _ENGINE).is_file() and message.backend in ("", "vllm"):
        return engine_size(name, _engine_arguments(version / _ENGINE), kv_tokens)
    files = sorted(path for path in version.rglob("*") if path.is_file())
    try:
        complete_backend(message, model_name=name, filenames=[entry.name for entry in version.iterdir()])
    except NaiadError:
        return ModelSize(name, 0, basis="unknown", detail="no backend is known for it")
    main = message.default_model_filename
    if message.backend not in ("python", "pytorch") and main and is_inside(main):
        # Other files of the folder may be anything.
        files = [path for path in files if path == version / main or _goes_with(version / main, path)]
    return _by_files(name, message.backend, files, _instances(message))


def _goes_with(main: Path, other: Path) -> bool:
    """Weights in a file of their own."""
    if main.suffix == ".xml":
        return other == main.with_suffix(".bin")
    return main.suffix == ".onnx" and other.suffix not in (".txt", ".json", ".md", ".onnx", ".pbtxt")


def _by_files(name: str, backend: str, files: Any, instances: int) -> ModelSize:
    every = backend not in ("python", "")
    counted = [path for path in files if path.is_file() and (every or path.suffix in WEIGHTS)]
    counted += [
        inner for path in files if path.is_dir() for inner in path.rglob("*") if inner.suffix in WEIGHTS
    ]
    size = sum(path.stat().st_size for path in counted)
    if not size:
        return ModelSize(name, 0, basis="unknown", detail="no weights lie in its folder")
    shown = ", ".join(path.name for path in counted[:3]) + (" ..." if len(counted) > 3 else "")
    return ModelSize(name, size, detail=shown, instances=instances)


def _instances(message: Any | None) -> int:
    """Those of one GPU; each has weights of its own. The groups on processors alone count too: what is
    planned is to move them.
    """
    if message is None:
        return 1
    groups = ModelConfig(message).instance_groups
    return max(1, sum(max(1, group.count) for group in groups))


def _engine_arguments(path: Path) -> dict[str, Any]:
    try:
        arguments = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"'{path}' can not be read: {error}") from None
    if not isinstance(arguments, dict):
        raise InvalidArgument(f"'{path}' should be an object with the engine's arguments")
    model = str(arguments.get("model", ""))
    if model.startswith(_DIRECTORY):
        arguments["model"] = model.replace(_DIRECTORY, str(path.parents[1]), 1)
    return arguments


def unique(models: Sequence[ModelSize]) -> list[ModelSize]:
    """Raises InvalidArgument for a name that is there twice."""
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise InvalidArgument(f"model '{model.name}' is counted twice")
        seen.add(model.name)
    return list(models)
