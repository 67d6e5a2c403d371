"""Where models lie: the directories of the repositories, and who brings models there from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from naiad.errors import InvalidArgument, NotFound
from naiad.repository.namespaces import ambiguity, key_of, namespace_of, public_name
from naiad.repository.scan import ModelDirectory, Scan, check_model_name, find_keys, find_model, scan
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
        self._namespacing = settings.namespacing
        self._refresh = refresh
        self.elsewhere = elsewhere

    def scan(self, *, fresh: bool = False) -> Scan:
        """All models; ``fresh``: brought up to date before. Raises NaiadError."""
        if fresh:
            self._refresh(None)
        return scan(self._paths, linked=self._linked, namespacing=self._namespacing)

    def find(self, key: str, *, fresh: bool = False) -> ModelDirectory:
        """One model, by its key or its name; ``fresh``: brought up to date before. Raises NaiadError."""
        name = public_name(key) if self._namespacing else key
        check_model_name(name)
        if fresh:
            self._refresh(name)
        return find_model(self._paths, key, linked=self._linked, namespacing=self._namespacing)

    def keys(self, name: str, *, fresh: bool = False) -> list[str]:
        """The keys of all models that bear a name, which may also be a key; ``[name]`` when there are none.
        ``fresh``: brought up to date before. Raises NaiadError.
        """
        if not self._namespacing or namespace_of(name):
            return [name]
        if fresh:
            check_model_name(name)
            self._refresh(name)
        return find_keys(self._paths, name) or [name]

    def step_key(self, ensemble: str, step: str) -> str:
        """Which model an ensemble, known by its key, means by the name of a step: that of its own repository,
        or else the only one of this name. Raises InvalidArgument when there are several others, NotFound
        when there is none.
        """
        if not self._namespacing or namespace_of(step):
            return step
        keys = find_keys(self._paths, step)
        own = key_of(namespace_of(ensemble), step)
        if own in keys:
            return own
        if len(keys) > 1:
            raise InvalidArgument(ambiguity(step, len(keys)))
        if not keys:
            raise NotFound(f"Request for unknown model: '{step}' is not found")
        return keys[0]

    def without_paths(self, text: str, *others: Path) -> str:
        """The text of an error, with no place on the server's disk in it."""
        for root in (*self._paths, *others):
            # A relative name may be any word of the text.
            for spelled in {str(root.absolute()), str(root.resolve())}:
                text = text.replace(f"{spelled}/", "").replace(spelled, "the model repository")
        return text
