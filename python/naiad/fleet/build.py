"""Builds the example fleet. The file to read first in this room.

Each model is made and checked in memory: every ONNX file runs once on the CPU and has to give known answers.
Only then is anything written, beside the directory, and moved into place: a new fleet by one rename, a fleet
that is there already file by file. A build that is interrupted leaves no half-written file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from naiad.errors import InvalidArgument
from naiad.fleet.fleet_model import BuiltModel, FleetModel
from naiad.fleet.manifest import (
    FILE_NAME,
    Manifest,
    digest,
    is_config,
    make_manifest,
    read_manifest,
)
from naiad.fleet.rag.language_model import NAME as LANGUAGE_MODEL
from naiad.fleet.rag.language_model import build_language_model
from naiad.fleet.readme import make_readme
from naiad.fleet.source import PACKAGES, PACKAGES_OF_FULL, ModelPackage, check_libraries

Progress = Callable[[str], None]

ROOM = Path(__file__).parent
PICTURE = "hello.png"


def build_fleet(
    directory: str | os.PathLike[str],
    *,
    full: bool = False,
    llm: Path | None = None,
    progress: Progress = lambda line: None,
) -> list[FleetModel]:
    """Makes the model repository ``directory``: the models ``minilm``, ``ocr_rec`` and ``tokenizer``; with
    ``full`` also ``vad`` and those of the retrieval pipeline, and the pipelines where a model ``smollm2`` is
    there or ``llm`` names what it is made of (``rag.language_model``).

    ``progress`` gets a line for each step. A directory that holds a fleet is brought up to date: files that
    are missing or differ are written again, an edited config.pbtxt and everything else that lies there stays.
    Returns the fleet's models.

    Raises NotFound when a library or a package with weights is not installed (the message says what to
    install), InvalidArgument when the directory cannot take the fleet, Internal when a model does not give
    its known answers.
    """
    target = Path(directory)
    check_libraries(full=full)
    if llm is not None and not full:
        raise InvalidArgument("a language model is for the full fleet")
    language_model = None if llm is None else build_language_model(llm)
    pipelines = full and (language_model is not None or (target / LANGUAGE_MODEL).is_dir())
    packages = PACKAGES + (PACKAGES_OF_FULL if full else ())
    recipe = _recipe(packages, f"full {full}, pipelines {pipelines}, language model {language_model}")
    manifest = _check_target(target)
    if manifest and manifest.recipe == recipe and manifest.holds(target):
        progress(f"{target} is up to date: {', '.join(model.name for model in manifest.models)}")
        return manifest.models

    built = _build_models(progress)
    if full:
        built += _build_full(built, pipelines, progress)
    if language_model is not None:
        progress(f"{language_model.name}: {language_model.source}")
        built.append(language_model)
    _check_collisions(target, built, manifest)
    files = _all_files(built)
    new = make_manifest(recipe, built, files)
    files[FILE_NAME] = new.to_json()  # the last to be written: it speaks only of files that are there
    _write(target, files, manifest, progress)
    return new.models


def _build_models(progress: Progress) -> list[BuiltModel]:
    # Imported here, after the check, so that a missing library is one clear sentence.
    from naiad.fleet import minilm, ocr_rec, tokenizer

    built = []
    for build in (minilm.build, ocr_rec.build, tokenizer.build):
        model = build()
        progress(f"{model.name}: {model.size_bytes / 1e6:.1f} MB from {model.source}; {model.checked}")
        built.append(model)
    return built


def _build_full(base: list[BuiltModel], pipelines: bool, progress: Progress) -> list[BuiltModel]:
    from naiad.fleet import vad
    from naiad.fleet.rag.models import build_models, build_pipelines

    built = [vad.build(), *build_models(next(model for model in base if model.name == "minilm"))]
    if pipelines:
        built += build_pipelines()
    else:
        progress(f"rag, rag_bls: not built, for there is no model {LANGUAGE_MODEL} to answer")
    for model in built:
        progress(f"{model.name}: {model.size_bytes / 1e6:.1f} MB from {model.source}; {model.checked}")
    return built


def _recipe(packages: Iterable[ModelPackage], choices: str) -> str:
    """Names all that the fleet is made of: what was chosen, this room's own files, the packages' versions."""
    parts = [f"{package.distribution}=={package.version()}" for package in packages]
    parts.append(choices)
    for path in sorted(ROOM.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts.append(f"{path.relative_to(ROOM)} {digest(path.read_bytes())}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_target(target: Path) -> Manifest | None:
    if target.exists() and not target.is_dir():
        raise InvalidArgument(f"{target} is a file; the fleet needs a directory")
    return read_manifest(target)


def _check_collisions(target: Path, built: list[BuiltModel], manifest: Manifest | None) -> None:
    """Refuses to mix with a model of the same name that naiad did not build."""
    own = {model.name for model in manifest.models} if manifest else set()
    for model in built:
        if model.name not in own and (target / model.name).exists():
            raise InvalidArgument(
                f"{target} holds a model {model.name} that naiad did not build; choose another directory"
            )


def _all_files(built: list[BuiltModel]) -> dict[str, bytes]:
    """Path inside the fleet to content."""
    files = {f"{model.name}/{path}": content for model in built for path, content in model.files.items()}
    files["README.md"] = make_readme(built)
    files[PICTURE] = (ROOM / PICTURE).read_bytes()
    return files


def _write(target: Path, files: dict[str, bytes], old: Manifest | None, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
    try:
        beside.chmod(0o755)
        for path, content in files.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_bytes(content)
        try:
            beside.rename(target)  # takes the place of nothing, or of an empty directory
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _replace(beside, target, files, old, progress)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace(
    beside: Path, target: Path, files: dict[str, bytes], old: Manifest | None, progress: Progress
) -> None:
    for path, content in files.items():
        present = (target / path).read_bytes() if (target / path).is_file() else None
        if present == content:
            continue
        if present is not None and is_config(path) and not (old and old.files.get(path) == digest(present)):
            progress(f"{path} was edited: kept")
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (beside / path).replace(target / path)
