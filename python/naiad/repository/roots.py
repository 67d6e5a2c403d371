"""Where models lie: the directories of the repositories, and who brings models there from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from naiad.repository.scan import ModelDirectory, Scan, check_model_name, find_model, scan
from naiad.settings import RepositorySettings


class Roots:
    """Any thread."""

    def __init__(
        self,
        settings: RepositorySettings,
        refresh: Callable[[str | None], None] = lambda name: None,
        elsewhere: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """``refresh`` brings the directory of a model, or all of them (None), up to date; raises NaiadError.
        ``elsewhere``: the models that it could bring.
        """
        self._paths = settings.model_repositories
        self._linked = settings.linked_repository
        self._refresh = refresh
        self.elsewhere = elsewhere

    def scan(self, *, fresh: bool = False) -> Scan:
        """All models; ``fresh``: brought up to date before. Raises NaiadError."""
        if fresh:
            self._refresh(None)
        return scan(self._paths, linked=self._linked)

    def find(self, name: str, *, fresh: bool = False) -> ModelDirectory:
        """One model; ``fresh``: brought up to date before. Raises NaiadError."""
        check_model_name(name)
        if fresh:
            self._refresh(name)
        return find_model(self._paths, name, linked=self._linked)

    def without_paths(self, text: str, *others: Path) -> str:
        """The text of an error, with no place on the server's disk in it."""
        for root in (*self._paths, *others):
            # A relative name may be any word of the text.
            for spelled in {str(root.absolute()), str(root.resolve())}:
                text = text.replace(f"{spelled}/", "").replace(spelled, "the model repository")
        return text
