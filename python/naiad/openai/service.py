"""The OpenAI-compatible API of a server: made, opened and ended in one place."""

from __future__ import annotations

import time

from naiad.engine import AccessGate, Engine
from naiad.handlers.control import Repository
from naiad.openai.api import OpenAiApi
from naiad.openai.catalogue import Catalogue
from naiad.openai.engine_requests import EngineRequests
from naiad.openai.port import OpenAiPort
from naiad.openai.text_models import TextModels
from naiad.repository.roots import Roots
from naiad.settings import ServerSettings


class OpenAiService:
    """``start`` and ``stop`` belong on one event loop."""

    def __init__(
        self,
        engine: Engine,
        repository: Repository,
        settings: ServerSettings,
        gate: AccessGate | None = None,
    ) -> None:
        """``gate``: of the port of its own; what comes by the HTTP port has been through that port's."""
        self._requests = EngineRequests(engine)
        self.api = OpenAiApi(
            Catalogue(repository, int(time.time())),
            TextModels(Roots(settings.repository).find),
            self._requests,
            max_body_bytes=settings.http.max_input_size_bytes,
        )
        self._port = None if settings.openai.port is None else OpenAiPort(self.api, settings.openai, gate)

    async def start(self) -> None:
        """Takes requests; opens the port of its own, where there is to be one. Raises OSError."""
        self._requests.open()
        if self._port is not None:
            await self._port.start()

    @property
    def port(self) -> int | None:
        """The port of its own that is listened on."""
        return None if self._port is None else self._port.port

    @property
    def num_in_flight(self) -> int:
        """Requests that are being answered."""
        return self.api.num_in_flight

    def refuse(self) -> None:
        """New requests are told that the server is stopping."""
        self.api.stopping = True

    async def stop(self) -> None:
        """Closes the port and the connections; whose answer is still awaited is told so."""
        if self._port is not None:
            await self._port.stop()
        self._requests.close()
