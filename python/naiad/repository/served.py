"""What the repository knows of models and their versions, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from naiad.config import ModelConfig
from naiad.engine import Model
from naiad.repository.memory_budget import Claim
from naiad.repository.namespaces import key_of

State = Literal["", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
"""Of a version; "" is a model that nobody asked to load."""


@dataclass(frozen=True, eq=False)
class LoadedVersion:
    """A version that is served. Any thread."""

    name: str
    """As clients see it: others may bear it too."""
    version: int
    config: ModelConfig
    model: Model
    load_duration_s: float
    versions: list[int]
    """All versions of the model that are served with this one, ascending."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Output name -> the labels of its classes."""
    content: str = ""
    """A digest of all that it is made of; only where answers are kept beyond this process."""
    files: frozenset[tuple[str, int, int]] = frozenset()
    """What tells whether its files have changed."""
    claim: Claim | None = None
    """What it takes of memory."""
    loaded_at_s: float = 0.0
    """Of the steady clock."""

    namespace: str = ""
    """The number of its repository, where names are looked at within one."""

    @property
    def key(self) -> str:
        """By what the engine and the repository know it."""
        return key_of(self.namespace, self.name)

    @property
    def memory_bytes(self) -> int:
        """What it took of main memory when it was loaded."""
        return 0 if self.claim is None else self.claim.main_bytes


@dataclass(frozen=True)
class IndexEntry:
    """One row of the repository index."""

    name: str
    version: str
    """"" when no version is known."""
    state: State
    reason: str
