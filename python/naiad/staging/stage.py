"""A model repository for as long as a server runs: links to what was named, and what had to be written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from naiad.staging.found import CONFIG, FoundModel, find_models
from naiad.staging.unservable import Unservable

Describe = Callable[[FoundModel], str]
"""The text of a configuration for a TorchScript file. Raises Unservable."""


class StagedRepository:
    """A private folder that is removed at the end. Its links lead out of it."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._directory: Path | None = None
        self.models: dict[str, FoundModel] = {}
        self.repositories: list[Path] = []
        """Folders that are model repositories as they are, in the order in which they were named."""
        self.passed_over: list[Path] = []
        """What lies in the folders and is no model."""

    @property
    def directory(self) -> Path | None:
        """None while it holds no model."""
        return self._directory

    @property
    def roots(self) -> list[Path]:
        """All that is to be served: the repositories as they are, then the folder of links."""
        return self.repositories + ([] if self._directory is None else [self._directory])

    def add(self, paths: Sequence[Path]) -> None:
        """Takes what the paths hold. Raises Unservable for the first one that can not be served."""
        for path in paths:
            found = find_models(path)
            self.passed_over.extend(found.passed_over)
            if found.repository is not None:
                self.repositories.append(found.repository)
                continue
            for model in found.models:
                self._add(model)

    def _add(self, model: FoundModel) -> None:
        other = self.models.get(model.name)
        if other is not None:
            raise Unservable(
                f"'{other.source}' and '{model.source}' would both be served as '{model.name}'",
                next_step="rename one of the files, or serve only one of the two",
            )
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="naiad-"))
        self.models[model.name] = model
        write_model(self._directory / model.name, model, self._describe)

    def close(self) -> None:
        """Removes it; what the links lead to stays. Idempotent."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_model(
    directory: Path,
    model: FoundModel,
    describe: Describe,
    place: Callable[[Path, Path], object] = lambda source, target: target.symlink_to(source),
) -> None:
    """Makes the model's folder. ``place(source, target)`` puts a file or folder there: by a link."""
    if "" in model.links:
        place(model.links[""], directory)
        return
    directory.mkdir()
    for inside, source in model.links.items():
        target = directory / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        place(source.absolute(), target)
    texts = dict(model.texts)
    if model.script is not None and CONFIG not in model.links:
        texts[CONFIG] = describe(model)
    for inside, text in texts.items():
        target = directory / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
