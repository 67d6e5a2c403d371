"""Makes a model's folder in a repository, from a file or a folder of Hugging Face's form."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from naiad import protos
from naiad.backends.base import ModelFiles
from naiad.backends.registry import BackendRegistry
from naiad.backends.torch.archive import FileKind, kind_of
from naiad.config import ModelConfig, complete_backend, complete_tensors, parse_pbtxt
from naiad.errors import NaiadError
from naiad.staging.commented import commented_config
from naiad.staging.found import CONFIG, FoundModel, find_models
from naiad.staging.stage import write_model
from naiad.staging.torch_script import probe
from naiad.staging.unservable import Unservable


@dataclass(frozen=True)
class MadeModel:
    """What was written."""

    name: str
    directory: Path
    unknown: str = ""
    """Why the configuration lacks what a model of this kind must say; "" where it is whole."""


def find_one(path: Path) -> FoundModel:
    """The one model of a file or folder. Raises Unservable where it holds several, or none."""
    found = find_models(path)
    if len(found.models) != 1 or found.repository is not None or "" in found.models[0].links:
        raise Unservable(
            f"'{path}' is a folder of models, or a repository already",
            next_step=f"name one model file, or serve the folder as it is: `naiad serve {path}`",
        )
    return found.models[0]


def init_model(model: FoundModel, repository: Path, backends: BackendRegistry, *, link: bool) -> MadeModel:
    """Writes the model's folder, whole or not at all. ``link``: files by hard links, not copies.

    Raises Unservable, also where the folder is there already; NaiadError for a file that is no such model.
    """
    target = repository / model.name
    if target.exists():
        raise Unservable(
            f"'{target}' is there already", next_step="take another name with --name, or remove the folder"
        )
    repository.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".naiad-", dir=repository) as scratch:
        made = Path(scratch, model.name)
        own_config = CONFIG in model.links
        write_model(made, replace(model, script=None), _no_description, _link if link else _copy)
        unknown = ""
        if not own_config:
            config, unknown = _configuration(model, made, backends)
            text = commented_config(config, model.source.name, unknown=unknown)
            parse_pbtxt(text, file=f"{model.name}/{CONFIG}")
            (made / CONFIG).write_text(text, encoding="utf-8")
        made.rename(target)
    return MadeModel(model.name, target, unknown)


def _configuration(model: FoundModel, made: Path, backends: BackendRegistry) -> tuple[ModelConfig, str]:
    """What the model says of itself, and why not all."""
    message = protos.ModelConfig(name=model.name, backend=model.backend)
    if model.backend == "vllm":
        return ModelConfig(message), ""
    filenames = sorted(path.name for path in (made / "1").iterdir())
    complete_backend(message, model_name=model.name, filenames=filenames)
    if model.script is not None:
        found = probe(model.script)
        if isinstance(found, str):
            return ModelConfig(message), found
        complete_tensors(message, found)
        return ModelConfig(message), ""
    files = ModelFiles(model.name, 1, made.resolve(), made.resolve().parent)
    try:
        config = backends.get(model.backend).auto_complete(ModelConfig(message), files)
    except NaiadError as error:
        raise Unservable(
            f"'{model.source}' can not be read: {error}", next_step="`naiad doctor` shows what is installed"
        ) from None
    compiled = model.backend == "pytorch" and kind_of(model.source) is FileKind.COMPILED
    return config, "a compiled package shows it to nobody" if compiled else ""


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        else:
            os.link(source.resolve(), target)
    except OSError as error:
        raise Unservable(
            f"'{source}' can not be linked: {error.strerror}", next_step="leave --link out: files are copied"
        ) from None


def _no_description(model: FoundModel) -> str:
    raise AssertionError(f"{model.name} is described later")
