"""How requests are spread over the versions of models, as clients ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naiad.errors import NotFound
from naiad.repository.entries import Entries
from naiad.repository.entry import ModelEntry
from naiad.repository.rollout import rollout_from_json
from naiad.repository.serving import Serving


class RolloutControl:
    """Of the models of a repository. Any thread; what is done to one model takes turns."""

    def __init__(self, entries: Entries, serving: Serving) -> None:
        self._entries = entries
        self._serving = serving

    def rollout(self, name: str) -> dict[str, Any]:
        """How the requests for a model are spread over its versions, as JSON. Raises NotFound."""
        return self._served_entry(name).rollout.to_json()

    def has_labels(self, name: str) -> bool:
        """Whether versions of the model have labels."""
        entries = self._entries.named(name)
        return len(entries) == 1 and bool(entries[0].rollout.labels)

    def set_rollout(self, name: str, given: Mapping[str, Any]) -> None:
        """From now on requests are spread so (see ``rollout_from_json``), until the model is unloaded or its
        configuration asks for something else than before. Raises NotFound, or InvalidArgument when it names a
        version that is not served; nothing has changed then.
        """
        rollout = rollout_from_json(given)
        entry = self._served_entry(name)
        with entry.lock:
            self._serving.spread(entry, rollout)

    def roll_back(self, name: str) -> None:
        """Undoes the last ``set_rollout``. Raises NotFound, or InvalidArgument when there is none left."""
        entry = self._served_entry(name)
        with entry.lock:
            self._serving.spread_as_before(entry)

    def _served_entry(self, name: str) -> ModelEntry:
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound(f"Request for unknown model: '{name}' is not found")
        entry.find("")
        return entry
