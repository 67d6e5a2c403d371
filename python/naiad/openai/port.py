"""A port of its own for the OpenAI-compatible API."""

from __future__ import annotations

from aiohttp import web

from naiad.access.refusal import refusal
from naiad.engine import AccessGate
from naiad.listening import ListeningPort
from naiad.openai.api import OpenAiApi
from naiad.openai.errors import ApiError, error_answer
from naiad.settings import OpenAiSettings

MAX_CONNECTIONS = 1_000
"""The next one is closed at once."""
# As the core gives them to who asks under the HTTP port.
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "unavailable"}


class OpenAiPort(ListeningPort):
    """Where nothing else is served."""

    def __init__(self, api: OpenAiApi, settings: OpenAiSettings, gate: AccessGate | None = None) -> None:
        """``gate``: who may ask what; None: everybody everything."""
        self._gate = gate
        self._api = api
        super().__init__(
            self._answer,
            settings.address,
            settings.port or 0,
            max_connections=MAX_CONNECTIONS,
            handler_cancellation=True,
            auto_decompress=False,
        )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._gate is not None and (refused := refusal(self._gate, request)) is not None:
            code = _CODES.get(refused.status)
            return error_answer(ApiError(refused.status, refused.words, code=code), refused.headers)
        if not self._api.serves(request.raw_path.partition("?")[0]):
            return error_answer(ApiError(404, "Not Found", code="unknown_url"))
        return await self._api.answer(request)
