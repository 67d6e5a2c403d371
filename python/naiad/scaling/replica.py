"""One replica: a whole naiad on the loopback of its node, behind the proxies of Ray Serve.

A proxy takes a request of HTTP or gRPC and picks a replica; the replica passes it by bytes to its own server,
whose I/O threads do the rest as ever, and passes the answer back. So nothing of the protocols is lost on the
way: binary tensors, streams, errors and their statuses.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import ray
from ray import serve
from ray.serve.grpc_util import RayServegRPCContext, gRPCInputStream
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from naiad.backends.vllm.lent_gpus import VARIABLE, LentGpus
from naiad.errors import NaiadError, Unsupported
from naiad.grpc.errors import status_of as grpc_status
from naiad.http.errors import status_of
from naiad.scaling.forward_grpc import GrpcForwarder
from naiad.scaling.forward_http import HttpForwarder, StreamedAnswer
from naiad.scaling.grpc_ingress import METHODS
from naiad.scaling.local_server import LocalServer, run_on
from naiad.scaling.model_names import first_field, model_of_message, model_of_path
from naiad.scaling.options import ReplicaSettings
from naiad.scaling.queue_policy import PENDING
from naiad.scaling.refusals import refused_call, refused_path
from naiad.scaling.residents import Resident

_JSON = {"Content-Type": "application/json"}


class Bytes:
    """An answer in the form in which Serve wants messages: it serializes to what it is."""

    __slots__ = ("_message",)

    def __init__(self, message: bytes) -> None:
        self._message = message

    def SerializeToString(self) -> bytes:
        return self._message


class Replica:
    """What Serve runs in an actor of its own. Its methods belong on Serve's event loop.

    Beside ``__call__`` for HTTP it has one method for each of gRPC, by the same name.
    """

    async def __init__(self, settings: ReplicaSettings) -> None:  # type: ignore[misc]
        """Loads the models. Raises NaiadError when that fails, which Serve shows as the reason."""
        _check_folders(settings)
        if settings.engine_gpus:
            _lend_gpus(settings.engine_gpus)
        self._on_demand = settings.models_per_replica > 0
        self._server = LocalServer(settings)
        self._stack = AsyncExitStack()
        await self._server.start()
        self._stack.push_async_callback(self._server.stop)
        enter = self._stack.enter_async_context
        self._http = await enter(HttpForwarder(self._server.http_url))
        self._metrics = await enter(HttpForwarder(self._server.metrics_url.removesuffix("/metrics")))
        self._grpc = GrpcForwarder(self._server.grpc_target)
        self._stack.push_async_callback(self._grpc.close)
        if self._on_demand:
            multiplexed = serve.multiplexed(max_num_models_per_replica=settings.models_per_replica)
            self._resident = multiplexed(self._loader())

    async def __del__(self) -> None:
        """Serve waits for it before the actor ends."""
        stack = getattr(self, "_stack", None)
        if stack is not None:
            await stack.aclose()

    async def check_health(self) -> None:
        """Serve asks this now and then, and replaces a replica that raises."""
        if not await self._server.is_live(self._http):
            raise RuntimeError("the server of this replica does not say that it lives")

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What the policy of --target-queue-depth looks at."""
        return {PENDING: await self._server.pending(self._metrics)}

    async def __call__(self, request: Request) -> Response:
        """HTTP."""
        path = request.scope.get("raw_path", request.scope["path"].encode()).decode("latin-1")
        reason = refused_path(request.method, path, on_demand=self._on_demand)
        if reason is not None:
            return _refusal(Unsupported(reason))
        held = contextlib.ExitStack()
        try:
            if self._on_demand:
                await self._hold(model_of_path(path), held)
        except NaiadError as error:
            return _refusal(error)
        query = request.scope.get("query_string", b"").decode("latin-1")
        target = f"{path}?{query}" if query else path
        with held:
            answer = await self._http.send(request.method, target, request.headers.raw, await request.body())
            if isinstance(answer, StreamedAnswer):
                # The model is held until the last part.
                parts = _parts(answer.parts, held.pop_all())
                response: Response = StreamingResponse(parts, answer.status)
            else:
                response = Response(answer.body, answer.status)
        # As they were: repeated ones too, and in their order.
        lengths = [field for field in response.raw_headers if field[0] == b"content-length"]
        response.raw_headers = [*answer.fields, *lengths]
        return response

    async def _unary(self, path: str, message: bytes, context: RayServegRPCContext) -> Bytes:
        method = path.rpartition("/")[2]
        held = contextlib.ExitStack()
        try:
            if reason := refused_call(path, message):
                raise Unsupported(reason)
            if self._on_demand:
                await self._hold(model_of_message(method, message), held)
            with held:
                return Bytes(await self._grpc.unary(path, message, context.invocation_metadata()))
        except NaiadError as error:
            _end_with(context, grpc_status(error), error.message)
        except grpc.aio.AioRpcError as error:
            _end_with(context, error.code(), error.details())
            context.set_trailing_metadata([(name, value) for name, value in error.trailing_metadata() or ()])
        # The status is what counts: gRPC sends no message with one that is not OK.
        return Bytes(b"")

    async def _server_stream(
        self, path: str, message: bytes, context: RayServegRPCContext
    ) -> AsyncIterator[Bytes]:
        with _told(context):
            async for answer in self._grpc.server_stream(path, message, context.invocation_metadata()):
                yield Bytes(answer)

    async def _both_stream(
        self, path: str, messages: gRPCInputStream[bytes], context: RayServegRPCContext
    ) -> AsyncIterator[Bytes]:
        with contextlib.ExitStack() as held, _told(context):
            sent = self._holding(messages, held) if self._on_demand else messages
            async for answer in self._grpc.both_stream(path, sent, context.invocation_metadata()):
                yield Bytes(answer)

    async def _holding(
        self, messages: gRPCInputStream[bytes], held: contextlib.ExitStack
    ) -> AsyncIterator[bytes]:
        """Each message when its model is there. What is held is held until the stream ends."""
        names: set[str] = set()
        async for message in messages:
            name = first_field(message)
            if name not in names:
                names.add(name)
                # Why a model can not be had is said by the server, in the form that streams have for it.
                with contextlib.suppress(NaiadError):
                    await self._hold(name, held)
            yield message

    async def _hold(self, name: str, held: contextlib.ExitStack) -> None:
        """Has a model loaded, and not ended before ``held`` is. A name that no repository has is left to the
        server. Raises NaiadError when the model can not be loaded.
        """
        if name and await self._server.has(self._http, name):
            resident: Resident = await self._resident(name)
            held.enter_context(resident.in_use())

    def _loader(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()

        async def load_model(name: str) -> Resident:
            await self._server.load(self._http, name)
            return Resident(name, lambda ended: run_on(loop, self._server.unload(self._http, ended)))

        return load_model


def _add_calls() -> None:
    """Gives Replica a method for each one of gRPC: Serve finds them by name."""
    for service, methods in METHODS.items():
        for method in methods:
            path = f"/{service}/{method.name}"
            if method.client_streaming:
                call: Any = _both_streams(path)
            elif method.server_streaming:
                call = _server_streams(path)
            else:
                call = _answers(path)
            call.__name__ = method.name
            setattr(Replica, method.name, call)


def _answers(path: str) -> Any:
    async def call(self: Replica, message: bytes, grpc_context: RayServegRPCContext) -> Bytes:
        return await self._unary(path, message, grpc_context)

    return call


def _server_streams(path: str) -> Any:
    async def call(self: Replica, message: bytes, grpc_context: RayServegRPCContext) -> AsyncIterator[Bytes]:
        async for answer in self._server_stream(path, message, grpc_context):
            yield answer

    return call


def _both_streams(path: str) -> Any:
    async def call(
        self: Replica, messages: gRPCInputStream[bytes], grpc_context: RayServegRPCContext
    ) -> AsyncIterator[Bytes]:
        async for answer in self._both_stream(path, messages, grpc_context):
            yield answer

    return call


_add_calls()


async def _parts(parts: AsyncIterator[bytes], held: contextlib.ExitStack) -> AsyncIterator[bytes]:
    with held:
        async with contextlib.aclosing(parts) as given:  # type: ignore[type-var]
            async for part in given:
                yield part


def _refusal(error: NaiadError) -> Response:
    return Response(json.dumps({"error": error.message}), status_of(error), _JSON)


def _end_with(context: RayServegRPCContext, code: grpc.StatusCode, details: str | None) -> None:
    context.set_code(code)
    context.set_details(details or "")


@contextlib.contextmanager
def _told(context: RayServegRPCContext) -> Iterator[None]:
    """How a stream failed is said by its status: Serve passes that on where an exception leaves it."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        _end_with(context, error.code(), error.details())
        raise RuntimeError(error.details()) from None


def _check_folders(settings: ReplicaSettings) -> None:
    node = ray.util.get_node_ip_address()
    for number, folder in enumerate(settings.model_repositories, 1):
        if not folder.is_dir():
            raise Unsupported(
                f"model repository {number} of this deployment is not on node {node}: put it on a file "
                "system that all nodes have at the same place, or name it by an address such as s3://"
            )


def _lend_gpus(num_gpus: int) -> None:
    """Has the engine, in a process of its own, find the GPUs that this replica has reserved."""
    group = ray.util.get_current_placement_group()
    if group is None:
        raise Unsupported("this replica has no placement group, so its engine would have no GPUs")
    os.environ[VARIABLE] = str(LentGpus(group.id.hex(), num_gpus))
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    # Ray hides all GPUs from an actor that has none of its own; the engine runs as its child.
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        del os.environ["CUDA_VISIBLE_DEVICES"]
