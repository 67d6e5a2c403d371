"""One thing that is wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning"]
"""error: the server would not serve the model. warning: it would, and not as one may expect; or it lacks
something that this machine has not."""


@dataclass(frozen=True)
class Problem:
    """Where and what."""

    model: str
    level: Level
    message: str
    file: str = ""
    """Relative to the repository."""
    line: int | None = None
    field: str = ""

    def __str__(self) -> str:
        """``file:line:field: message``, as much of it as is known."""
        place = ":".join(str(part) for part in (self.file or self.model, self.line, self.field) if part)
        return f"{place}: {'warning: ' if self.level == 'warning' else ''}{self.message}"

    def to_json(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)
