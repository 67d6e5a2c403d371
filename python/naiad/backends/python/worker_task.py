"""What a server gives a worker to do: written to its standard input, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from naiad.backends.base import InstancePlace, ModelFiles

_CHANNEL_FDS = ("channel", "server_arena", "worker_arena", "event")


@dataclass(frozen=True)
class WorkerTask:
    """A model to serve; without ``channel`` a configuration to complete, or, with ``template``, code to load
    for workers that are forked.
    """

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
    template: int = -1
    """A socket over which the server asks for workers: ``run_template``."""
    channel: dict[str, int] | None = None
    """Descriptors and sizes: the arguments of ``WorkerConnection``."""
    instance: str = ""
    device_kind: str = "CPU"
    device_id: int = 0
    pinned_bytes: int = 0
    """How much of either side's memory it may pin."""

    @property
    def files(self) -> ModelFiles:
        return ModelFiles(self.name, self.version, Path(self.directory), Path(self.root))

    @property
    def descriptors(self) -> list[int]:
        """Those that a worker inherits."""
        assert self.channel is not None
        return [*(self.channel[name] for name in _CHANNEL_FDS), self.log_level_fd]

    def with_descriptors(self, fds: Sequence[int]) -> WorkerTask:
        """The same task where those have other numbers."""
        assert self.channel is not None
        *of_channel, log_level_fd = fds
        channel = self.channel | dict(zip(_CHANNEL_FDS, of_channel, strict=True))
        return replace(self, channel=channel, log_level_fd=log_level_fd)

    @property
    def place(self) -> InstancePlace:
        return InstancePlace(self.instance, self.device_kind, self.device_id)

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def decode(text: bytes) -> WorkerTask:
        return WorkerTask(**json.loads(text))
