"""What a worker asks its server for, in JSON: ``{"what": ..., ...}`` and ``{"result": ...}`` or
``{"code": ..., "error": ...}``.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

from naiad.backends.engine_calls import EngineCalls
from naiad.engine import WorkerConnection
from naiad.errors import from_code


class WorkerServices(EngineCalls):
    """``ModelServices`` of a worker. Any thread."""

    def __init__(self, connection: WorkerConnection) -> None:
        super().__init__(connection.engine)
        self._connection = connection

    def load(self, name: str, config: str, files: Mapping[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in files.items()}
        self.ask("load", name=name, config=config, files=encoded)

    def unload(self, name: str, unload_dependents: bool) -> None:
        self.ask("unload", name=name, unload_dependents=unload_dependents)

    def is_ready(self, name: str, version: str) -> bool:
        return bool(self.ask("is_ready", name=name, version=version))

    def ask(self, what: str, **more: Any) -> Any:
        """Blocks until the server has answered. Raises what it raised."""
        answer = json.loads(self._connection.ask(json.dumps({"what": what, **more})))
        if "error" in answer:
            raise from_code(answer["code"], answer["error"])
        return answer["result"]

    def tell(self, what: str, **more: Any) -> None:
        """Expects no answer."""
        self._connection.tell(json.dumps({"what": what, **more}))


class ServerLogHandler(logging.Handler):
    """Writes a worker's lines to its server's log."""

    def __init__(self, services: WorkerServices) -> None:
        super().__init__()
        self._services = services

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        self._services.tell(
            "log",
            level=record.levelno,
            logger=record.name,
            text=text,
            file=record.pathname,
            line=record.lineno,
        )
