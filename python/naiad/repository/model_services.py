"""What a server offers to models: to those in its own process and, through it, to those of its workers."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.backends.engine_calls import EngineCalls
from naiad.engine import Engine
from naiad.errors import InvalidArgument, NaiadError, Unsupported
from naiad.repository.model_repository import ModelRepository
from naiad.settings import ControlMode

_FILE = "file:"


class EngineServices(EngineCalls):
    """``ModelServices`` of one engine and its repository. Any thread."""

    def __init__(self, engine: Engine, repository: ModelRepository, control_mode: ControlMode) -> None:
        super().__init__(engine)
        self._repository = repository
        self._control_mode = control_mode

    def load(self, name: str, config: str, files: Mapping[str, bytes]) -> None:
        self._check_control("load")
        for key in files:
            if not key.startswith(_FILE):
                raise InvalidArgument(f"load_model: '{key}' should be 'file:<version>/<path>'")
        if files and not config:
            raise InvalidArgument("load_model: files are given without a config, which they need")
        given = {key.removeprefix(_FILE): content for key, content in files.items()}
        self._repository.load(name, config or None, given)

    def unload(self, name: str, unload_dependents: bool) -> None:
        self._check_control("unload")
        self._repository.unload(name, unload_dependents)

    def is_ready(self, name: str, version: str) -> bool:
        try:
            return self._repository.is_ready(name, version)
        except NaiadError as error:
            if isinstance(error, InvalidArgument):
                raise
            return False

    def _check_control(self, what: str) -> None:
        if self._control_mode not in ("explicit", "ondemand"):
            raise Unsupported(
                f"explicit model {what} / un{what} is not allowed: start with --model-control-mode=explicit"
            )
