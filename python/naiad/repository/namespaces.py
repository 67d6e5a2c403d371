"""Names of models where several repositories may have one of the same name (``--model-namespacing``).

Then each model is known by its key, ``<number of its repository>::<name>``, and by its name where no other
model that is served bears it. Without namespacing key and name are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from naiad.engine import Engine, Model, VersionRoutes

_SEPARATOR = "::"
FROM_A_LOAD = "0"
"""The namespace of models that lie in no repository: their files came with the load."""


def key_of(namespace: str, name: str) -> str:
    """``namespace``: "" without namespacing."""
    return f"{namespace}{_SEPARATOR}{name}" if namespace else name


def public_name(key: str) -> str:
    """The name that others may bear too."""
    return key.rpartition(_SEPARATOR)[2]


def namespace_of(key: str) -> str:
    """The number of the repository, as text; "" without one."""
    return key.rpartition(_SEPARATOR)[0]


def ambiguity(name: str, num_bearers: int) -> str:
    """Triton's words for who asks for a name that several models bear."""
    return (
        f"There are {num_bearers} identifiers of model '{name}' in global map, model namespace must be "
        "provided to resolve ambiguity."
    )


class PublicNames:
    """Publishes models in the engine, by their keys and by their names. Any thread; calls for one key take
    turns.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._served: dict[str, tuple[list[Model], VersionRoutes | None]] = {}

    def publish(self, key: str, models: Sequence[Model], routes: VersionRoutes | None = None) -> None:
        """As ``Engine.publish``, which raises InvalidArgument for ``routes`` that name what is not there."""
        self._engine.publish(key, list(models), routes=routes)
        if not namespace_of(key):
            return
        name = public_name(key)
        with self._lock:
            self._served.pop(key, None)
            if models:
                self._served[key] = (list(models), routes)
            bearers = [served for each, served in self._served.items() if public_name(each) == name]
            if len(bearers) > 1:
                self._engine.make_ambiguous(name, len(bearers))
            elif bearers:
                self._engine.publish(name, bearers[0][0], routes=bearers[0][1])
            else:
                self._engine.publish(name, [])
