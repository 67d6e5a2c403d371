"""The routes of the dashboard: finds the handler, keeps other sites out, turns errors into answers.

::

    dashboard.py     /ui: pages, and the JSON that they are made of
      pages            the files of the page
      origin           who may ask, and what binds the page
      fleet            models, versions, states
      figures          counters and histograms
      trial            a request made on the page
        tensors          its tensors
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from naiad.access.exposure import is_loopback
from naiad.access.routes import METRICS_ROUTES, metrics_table
from naiad.engine import AccessGate
from naiad.errors import InvalidArgument, NaiadError, Stopping
from naiad.handlers.control import ControlPlane
from naiad.http.answers import JSON, error_answer, json_answer
from naiad.http.body import read_body
from naiad.http.control import OtherApi
from naiad.http.errors import status_of
from naiad.logs import log
from naiad.settings import ServerSettings
from naiad.ui.figures import Figures
from naiad.ui.fleet import Fleet
from naiad.ui.origin import PAGE_FIELDS, foreign_reason, is_json, is_own_name
from naiad.ui.pages import INDEX, Pages
from naiad.ui.trial import Trials

_Handler = Callable[[web.BaseRequest, list[str]], Awaitable[web.StreamResponse]]
_ROOT = "/ui"
_MODEL = f"{_ROOT}/api/models/{{model}}"
_VERSION = f"{_MODEL}/versions/{{version}}"
# What the page asks whether the key that it has opens it.
_RIGHTS = {
    "read": ("GET", f"{_ROOT}/api/figures"),
    "infer": ("POST", f"{_ROOT}/api/models/x/infer"),
    "admin": ("POST", f"{_ROOT}/api/models/x/load"),
}
_FOREIGN_NAME = "without API keys this page answers to localhost and to addresses alone, by no other name"
_VIEW_ONLY = (
    "the metrics port is open to other machines and the HTTP port is not: without API keys (--api-keys-file)"
    " this page only shows"
)
_MAX_CONTROL_BYTES = 64 << 10


class Dashboard:
    """Answers what is below ``/ui``, behind the gate of its port. The event loop's thread."""

    def __init__(
        self,
        control: ControlPlane,
        fleet: Fleet,
        figures: Figures,
        trials: Trials,
        openai: OtherApi,
        settings: ServerSettings,
        gate: AccessGate,
    ) -> None:
        self._control = control
        self._fleet = fleet
        self._figures = figures
        self._trials = trials
        self._openai = openai
        self._settings = settings
        self._gate = gate
        self._pages = Pages()
        self._table = metrics_table()
        self._paths = tuple(METRICS_ROUTES)
        needs_key = settings.access.needs_keys
        local = is_loopback(settings.metrics.address)
        self._local_only = not needs_key and local
        # A port that was opened for scrapes does not open what the HTTP port keeps for this machine.
        http_is_open = settings.http.enabled and not is_loopback(settings.http.address)
        self._view_only = not (needs_key or local or http_is_open)
        self._handlers: dict[str, _Handler] = {
            _ROOT: self._redirect,
            f"{_ROOT}/": self._index,
            f"{_ROOT}/{{file}}": self._file,
            f"{_ROOT}/api/access": self._access,
            f"{_ROOT}/api/fleet": self._shown_fleet,
            f"{_ROOT}/api/figures": self._shown_figures,
            _MODEL: self._model,
            _VERSION: self._model,
            f"{_MODEL}/infer": self._infer,
            f"{_VERSION}/infer": self._infer,
            f"{_MODEL}/load": self._load,
            f"{_MODEL}/unload": self._unload,
            f"{_ROOT}/v1/chat/completions": self._chat,
        }

    @property
    def num_in_flight(self) -> int:
        """Requests made on the page that are being answered; chats are the OpenAI API's."""
        return self._trials.num_in_flight

    def serves(self, path: str) -> bool:
        """Whether a path (percent-encoded, without query) is one of the dashboard's."""
        return path == _ROOT or path.startswith(f"{_ROOT}/")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request whose path it serves and that the gate has let in, failures too."""
        try:
            response = await self._answer(request)
        except NaiadError as error:
            response = error_answer(status_of(error), error.message)
        except web.RequestPayloadError:
            response = error_answer(400, "malformed request body")
            response.force_close()
        except ConnectionError:
            raise
        except Exception:
            log.exception("unexpected error while answering %s", request.method)
            response = error_answer(500, "internal error")
        if not response.prepared:
            for name, value in PAGE_FIELDS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        found = self._table.find(path.encode(errors="surrogateescape"))
        handler = None if found is None else self._handlers.get(self._paths[found[0]])
        if found is None or handler is None:
            return error_answer(404, "Not Found")
        methods = METRICS_ROUTES[self._paths[found[0]]][1]
        if request.method not in methods:
            return error_answer(405, "Method Not Allowed", {"Allow": ", ".join(methods)})
        if self._local_only and not is_own_name(request.headers.get("Host", "")):
            return error_answer(403, _FOREIGN_NAME)
        if path.startswith((f"{_ROOT}/api/", f"{_ROOT}/v1/")) and (reason := foreign_reason(request)):
            return error_answer(403, reason)
        if request.method == "POST" and self._view_only:
            return error_answer(403, _VIEW_ONLY)
        if request.method == "POST" and not is_json(request):
            return error_answer(415, f"expected header 'Content-Type: {JSON}'")
        return await handler(request, [unquote(part.decode(errors="surrogateescape")) for part in found[1]])

    async def _redirect(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": f"{_ROOT}/"})

    async def _index(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return await self._file(request, [INDEX])

    async def _file(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return self._pages.answer(request, names[0]) or error_answer(404, "Not Found")

    async def _access(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        fields, client = list(request.headers.items()), request.remote or ""
        rights = {
            name: not self._gate.check(method, path, fields, client)[0]
            and not (self._view_only and method == "POST")
            for name, (method, path) in _RIGHTS.items()
        }
        return json_answer(rights | {"needs_key": self._settings.access.needs_keys})

    async def _shown_fleet(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return _compressed(json_answer(await asyncio.to_thread(self._fleet.shown)))

    async def _shown_figures(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return _compressed(json_answer(await asyncio.to_thread(self._figures.read)))

    async def _model(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        return _compressed(json_answer(self._fleet.model(names[0], names[1] if len(names) > 1 else "")))

    async def _infer(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        given = await self._body(request, self._settings.http.max_input_size_bytes)
        if self._control.stopping:
            raise Stopping("Server is stopping, it takes no new requests")
        return await self._trials.answer(request, names[0], names[1] if len(names) > 1 else "", given)

    async def _load(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        await self._no_fields(request)
        await asyncio.to_thread(self._control.load, "", names[0], {})
        return self._changed(request, names[0])

    async def _unload(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        await self._no_fields(request)
        await asyncio.to_thread(self._control.unload, "", names[0], {})
        return self._changed(request, names[0])

    def _changed(self, request: web.BaseRequest, model: str) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        fields = list(request.headers.items())
        _, key, *_ = self._gate.check(request.method, path, fields, request.remote or "")
        log.info("%s %s by %s", request.method, path, f"API key '{key}'" if key else "the dashboard")
        return json_answer({"model": model})

    async def _chat(self, request: web.BaseRequest, names: list[str]) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0].removeprefix(_ROOT)
        return await self._openai.answer(request.clone(rel_url=path))

    async def _no_fields(self, request: web.BaseRequest) -> None:
        if await self._body(request, _MAX_CONTROL_BYTES):
            raise InvalidArgument("expected {}: a model is loaded as its files are")

    async def _body(self, request: web.BaseRequest, limit: int) -> dict[str, Any]:
        body = await read_body(request, min(limit, self._settings.http.max_input_size_bytes))
        try:
            value = await asyncio.to_thread(json.loads, body) if body else {}
        except (ValueError, RecursionError):
            raise InvalidArgument("the request body is not valid JSON") from None
        if not isinstance(value, dict):
            raise InvalidArgument("the request body should be a JSON object")
        return value


def _compressed(response: web.Response) -> web.Response:
    response.enable_compression()
    return response
