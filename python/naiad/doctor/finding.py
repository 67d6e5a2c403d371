"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "absent", "warning", "problem"]
"""absent: not there, and only some need it. warning: it serves, not as well as it could. problem: it does
not serve."""


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it."""

    group: str
    name: str
    state: State
    what: str
    mend: str = ""
    """A line for a shell, or a sentence; "" where there is nothing to do."""

    def to_json(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)
