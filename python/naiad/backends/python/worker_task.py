"""What a server gives a worker to do: written to its standard input, once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from naiad.backends.base import InstancePlace, ModelFiles


@dataclass(frozen=True)
class WorkerTask:
    """A model to serve, or, without ``channel``, a configuration to complete."""

    parent: int
    """The process that the worker does not outlive."""
    config: dict[str, Any]
    """The configuration as JSON has it."""
    name: str
    version: int
    directory: str
    root: str
    backend: str = "python"
    """The one that makes the instance, or completes the configuration."""
    options: dict[str, str] = field(default_factory=dict)
    """Of the backend."""
    log_level: int = 20
    log_level_fd: int = -1
    """Where the level is found that holds at the time: ``SharedLevel``."""
    result: int = -1
    """A descriptor for the completed configuration."""
    channel: dict[str, int] | None = None
    """Descriptors and sizes: the arguments of ``WorkerConnection``."""
    instance: str = ""
    device_kind: str = "CPU"
    device_id: int = 0

    @property
    def files(self) -> ModelFiles:
        return ModelFiles(self.name, self.version, Path(self.directory), Path(self.root))

    @property
    def place(self) -> InstancePlace:
        return InstancePlace(self.instance, self.device_kind, self.device_id)

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def decode(text: bytes) -> WorkerTask:
        return WorkerTask(**json.loads(text))
