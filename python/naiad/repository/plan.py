"""One load of a model: from where, with what in place of its files, and whether these hold still."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from naiad.errors import Unavailable
from naiad.repository.fingerprint import Fingerprint, fingerprint
from naiad.repository.loader import LoadFailed
from naiad.repository.overrides import OverrideFolder
from naiad.repository.scan import ModelDirectory


@dataclass(frozen=True)
class Plan:
    """What is to be loaded of a model. Immutable."""

    directory: ModelDirectory
    config_json: str | None = None
    folder: OverrideFolder | None = None
    expected: Fingerprint | None = None
    """What its files have to be like before it is loaded and when it is to be served; None: anything."""
    summoned: bool = False
    """A request wants it, and nobody else."""
    seen: Fingerprint = field(init=False)
    """What they are like now."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", fingerprint(self.directory.path, self.config_json))

    @property
    def own_roots(self) -> tuple[Path, ...]:
        """Folders made for this load."""
        return () if self.folder is None else (self.folder.path,)

    def check_still(self) -> None:
        """Raises LoadFailed when they are not what is expected."""
        if self.expected is None:
            return
        if fingerprint(self.directory.path, self.config_json) != self.expected:
            raise LoadFailed(None, Unavailable("its files changed while it was loaded"))
