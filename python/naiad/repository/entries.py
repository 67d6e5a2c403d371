"""All models that a repository has ever dealt with."""

from __future__ import annotations

import threading

from naiad.errors import InvalidArgument, NotFound
from naiad.repository.entry import ModelEntry, check_version
from naiad.repository.namespaces import ambiguity, namespace_of, public_name
from naiad.repository.served import LoadedVersion


class Entries:
    """By key. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Copied when it changes, so that who reads it without the lock never sees it change.
        self.by_key: dict[str, ModelEntry] = {}

    def of(self, key: str) -> ModelEntry:
        """The one with this key, made where there is none."""
        with self._lock:
            entry = self.by_key.get(key)
            if entry is None:
                entry = ModelEntry(key)
                self.by_key = {**self.by_key, key: entry}
            return entry

    def get(self, name: str) -> ModelEntry | None:
        """The one that a key or a name means; None: there never was one. Raises InvalidArgument in Triton's
        words when several that are served bear the name, NotFound when several do and none is.
        """
        entry = self.by_key.get(name)
        if entry is not None:
            return entry
        bearers = self.named(name)
        served = [entry for entry in bearers if entry.served] or bearers
        if len(served) < 2:
            return served[0] if served else None
        if not served[0].served:
            raise NotFound(f"Request for unknown model: '{name}' has no available versions")
        raise InvalidArgument(ambiguity(name, len(served)))

    def named(self, name: str) -> list[ModelEntry]:
        """All that bear a name, which may also be a key."""
        if name in self.by_key:
            return [self.by_key[name]]
        return [entry for entry in self.all() if namespace_of(entry.name) and public_name(entry.name) == name]

    def all(self) -> list[ModelEntry]:
        """By key."""
        return sorted(self.by_key.values(), key=lambda entry: entry.name)

    def find(self, name: str, version: str) -> LoadedVersion:
        """See ``ModelRepository.find``."""
        entry = self.get(name)
        if entry is None:
            check_version(version)
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        return entry.find(version)

    def dependents(self, key: str) -> list[ModelEntry]:
        """Ensembles that are served and have this model for a step."""
        return [entry for entry in self.all() if key in entry.steps]

    def users_of_name(self, key: str) -> list[ModelEntry]:
        """Ensembles that are served and have a model of this name for a step: which one may have changed."""
        name = public_name(key)
        return [entry for entry in self.all() if any(public_name(step) == name for step in entry.steps)]
