"""The control plane over HTTP: finds the endpoint, calls its handler, turns errors into answers.

Inference is not served here: the I/O threads of the core do that, and send on what is not inference over a
socket for each client that asks such things.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from naiad.access.routes import KEY_NAME_FIELD, changes_something
from naiad.errors import InvalidArgument, NaiadError, Unsupported
from naiad.handlers.control import ControlPlane
from naiad.http.answers import empty_answer, error_answer, json_answer
from naiad.http.body import plain_body, read_body
from naiad.http.coding import ACCEPTED, request_coding
from naiad.http.errors import status_of
from naiad.http.relayed import mark_relayed
from naiad.http.routes import METHODS, Endpoint, Route, find_route
from naiad.logs import log
from naiad.settings import HttpSettings

_Handler = Callable[[web.BaseRequest, Route], Awaitable[web.StreamResponse]]


class OtherApi(Protocol):
    """An API beside KServe's under the same port, with answers and errors in a form of its own."""

    def serves(self, path: str) -> bool: ...
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse: ...


# A body of a control request is a few parameters or a model configuration; files come with a load only.
_MAX_CONTROL_BYTES = 4 << 20
# aiohttp logs every malformed request with a traceback; a client could fill the disk with that.
_SILENT = logging.getLogger("naiad.http.connections")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class HttpControl:
    """Answers HTTP requests on sockets that it is given, on the event loop that makes it."""

    def __init__(
        self, control: ControlPlane, settings: HttpSettings, other_apis: Sequence[OtherApi] = ()
    ) -> None:
        self._control = control
        self._other_apis = tuple(other_apis)
        self._settings = settings
        self._connections = _Connections(
            self._answer,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            logger=_SILENT,
        )
        self._connecting: set[asyncio.Task[Any]] = set()
        self._handlers: dict[Endpoint, _Handler] = {
            Endpoint.SERVER: self._server,
            Endpoint.LIVE: self._live,
            Endpoint.READY: self._ready,
            Endpoint.ALL_STATISTICS: self._statistics,
            Endpoint.MODEL: self._model,
            Endpoint.MODEL_READY: self._model_ready,
            Endpoint.MODEL_CONFIG: self._model_config,
            Endpoint.MODEL_STATISTICS: self._statistics,
            Endpoint.INFER: _refusal("inference by way of the control plane"),
            Endpoint.GENERATE: _refusal("inference by way of the control plane"),
            Endpoint.INDEX: self._index,
            Endpoint.LOAD: self._load,
            Endpoint.UNLOAD: self._unload,
            Endpoint.SYSTEM_REGIONS: self._system_regions,
            Endpoint.REGISTER_SYSTEM_REGION: self._register_system_region,
            Endpoint.UNREGISTER_SYSTEM_REGIONS: self._unregister_system_regions,
            Endpoint.CUDA_REGIONS: self._cuda_regions,
            Endpoint.REGISTER_CUDA_REGION: self._register_cuda_region,
            Endpoint.UNREGISTER_CUDA_REGIONS: self._unregister_cuda_regions,
            Endpoint.ROLLOUT: self._rollout,
            Endpoint.TRACE: self._trace,
            Endpoint.LOGGING: self._logging,
        }

    def accept(self, fd: int) -> None:
        """Serves a connected stream socket, which is its own from now on."""
        connection = socket.socket(fileno=fd)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        connecting = loop.create_task(loop.connect_accepted_socket(self._connections, connection))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    async def stop(self, timeout_s: float) -> None:
        """Finishes the answers under way, closes the connections."""
        self._connections.pre_shutdown()
        await self._connections.shutdown(timeout_s)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        for api in self._other_apis:
            if api.serves(path):
                mark_relayed(request)
                return await api.answer(request)
        try:
            route = find_route(path)
            if route is None or self._names_no_version(route):
                return error_answer(404, "Not Found")
            if request.method not in METHODS[route.endpoint]:
                return error_answer(405, "Method Not Allowed", {"Allow": ", ".join(METHODS[route.endpoint])})
            response = await self._handlers[route.endpoint](request, route)
            _log_change(request, route)
        except NaiadError as error:
            hint = {"Accept-Encoding": ACCEPTED} if error.message == "Unsupported compression type" else None
            response = error_answer(status_of(error), error.message, hint)
        except (ConnectionError, web.RequestPayloadError) as error:
            # The body broke off or its chunks are malformed: there is no next request on this connection.
            if isinstance(error, ConnectionError):
                raise
            response = error_answer(400, "malformed request body")
            response.force_close()
        except Exception:
            log.exception("unexpected error while answering %s", request.method)
            response = error_answer(500, "internal error")
        return response

    async def _server(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        return json_answer(self._control.server_metadata())

    async def _live(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        return empty_answer()

    async def _ready(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        if self._control.ready():
            return empty_answer()
        # 400 is what Triton's clients expect of a server that is not ready.
        return empty_answer(503 if self._control.stopping else 400)

    async def _model(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        await self._bring(route)
        return json_answer(self._control.model_metadata(route.model, route.version))

    async def _model_ready(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        try:
            ready = self._control.model_ready(route.model, route.version)
        except NaiadError as error:
            # Not 404: a prober that knows the model's name takes 400 for "not yet".
            return error_answer(400, error.message)
        return empty_answer() if ready else error_answer(400, "Model version not ready")

    async def _model_config(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        await self._bring(route)
        return json_answer(self._control.model_config(route.model, route.version).to_json())

    async def _bring(self, route: Route) -> None:
        if self._control.must_bring(route.model):
            await asyncio.to_thread(self._control.bring, route.model)

    async def _statistics(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        return json_answer(self._control.statistics(route.model, route.version))

    async def _index(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        ready_only = (await self._json_body(request)).get("ready", False)
        if not isinstance(ready_only, bool):
            raise InvalidArgument("'ready' should be a bool")
        return json_answer(await asyncio.to_thread(self._control.index, route.repository, ready_only))

    async def _load(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        parameters = await self._parameters(request, self._settings.max_input_size_bytes)
        await asyncio.to_thread(self._control.load, route.repository, route.model, parameters)
        return empty_answer()

    async def _unload(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        parameters = await self._parameters(request)
        await asyncio.to_thread(self._control.unload, route.repository, route.model, parameters)
        return empty_answer()

    async def _system_regions(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        return json_answer(self._control.shared_memory.system_regions(route.region))

    async def _register_system_region(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        registration = await self._json_body(request)
        self._control.shared_memory.register_system(
            route.region,
            registration.get("key"),
            registration.get("offset", 0),
            registration.get("byte_size"),
        )
        return empty_answer()

    async def _unregister_system_regions(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        self._control.shared_memory.unregister_system(route.region)
        return empty_answer()

    async def _cuda_regions(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        return json_answer(self._control.shared_memory.cuda_regions(route.region))

    async def _register_cuda_region(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        registration = await self._json_body(request)
        self._control.shared_memory.register_cuda(
            route.region,
            _exported_memory(registration),
            registration.get("device_id"),
            registration.get("byte_size"),
        )
        return empty_answer()

    async def _unregister_cuda_regions(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        self._control.shared_memory.unregister_cuda(route.region)
        return empty_answer()

    async def _logging(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        if request.method == "POST":
            self._control.log.update(await self._json_body(request))
        return json_answer(self._control.log.shown())

    async def _rollout(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        if request.method == "POST":
            given = await self._json_body(request)
            await asyncio.to_thread(self._control.update_rollout, route.model, given)
        return json_answer(self._control.rollout(route.model))

    def _names_no_version(self, route: Route) -> bool:
        """As Triton, there is no path with a word for a version, where the model has no labels."""
        return route.version[:1].isalpha() and not self._control.has_labels(route.model)

    async def _trace(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        if request.method == "POST":
            given = await self._json_body(request)
            values = {name: _trace_values(name, value) for name, value in given.items()}
            self._control.update_trace_setting(route.model, values)
        return json_answer(self._control.trace_setting(route.model))

    async def _parameters(self, request: web.BaseRequest, limit: int = _MAX_CONTROL_BYTES) -> dict[str, Any]:
        parameters = (await self._json_body(request, limit)).get("parameters", {})
        if not isinstance(parameters, dict):
            raise InvalidArgument("'parameters' should be an object")
        return parameters

    async def _json_body(self, request: web.BaseRequest, limit: int = _MAX_CONTROL_BYTES) -> dict[str, Any]:
        limit = min(limit, self._settings.max_input_size_bytes)
        coding = request_coding(request.headers.get("Content-Encoding"))
        body = await plain_body(await read_body(request, limit), coding, limit)
        if not body:
            return {}
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("failed to parse the request JSON buffer: it is not valid JSON") from error
        if not isinstance(value, dict):
            raise InvalidArgument("the request JSON should be an object")
        return value


def _exported_memory(registration: dict[str, Any]) -> bytes | None:
    """The bytes of ``{"raw_handle": {"b64": TEXT}}``, None where there are none."""
    exported = registration.get("raw_handle")
    if isinstance(exported, dict) and isinstance(exported.get("b64"), str):
        with contextlib.suppress(ValueError):  # not base64, or not even ASCII
            return base64.b64decode(exported["b64"], validate=True)
    return None


def _log_change(request: web.BaseRequest, route: Route) -> None:
    # The core writes this field; a client's own does not come this far.
    key = request.headers.get(KEY_NAME_FIELD)
    if key and changes_something(route.endpoint, request.method):
        log.info("%s %s by API key '%s'", request.method, request.path, key)


def _trace_values(name: str, value: object) -> list[str]:
    """A trace setting as gRPC has it; null is no value."""
    if value is None:
        return []
    if name != "trace_level":
        if not isinstance(value, str):
            raise InvalidArgument(f"expect string for '{name}'")
        return [value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidArgument(f"expect array of strings for '{name}'")
    return value


class _Connections(web.Server):
    """aiohttp's server, with errors of the HTTP layer itself answered in the form of the API."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to bytes that are not HTTP. Closes the connection: where it stands is not known."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        reason = "internal error" if status == 500 else "malformed HTTP request"
        answer = error_answer(status, reason)
        answer.force_close()
        return answer


def _refusal(feature: str) -> _Handler:
    async def refuse(request: web.BaseRequest, route: Route) -> web.StreamResponse:
        raise Unsupported(f"{feature} is not supported by this version")

    return refuse
