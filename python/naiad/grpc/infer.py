"""ModelInfer and ModelStreamInfer: serialized messages go to the core and come back, unread by Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from naiad.errors import NaiadError
from naiad.grpc.errors import status_of
from naiad.grpc.wire import stream_answer, stream_error
from naiad.handlers.dataplane import DataPlane
from naiad.logs import log

Context = grpc.aio.ServicerContext[bytes, bytes]

# Requests of one stream that may wait for their answers; beyond that the client is read no further.
_STREAM_WINDOW = 256
_STRICT_ERRORS = ("triton_grpc_error", "true")


class InferMethods:
    """The two inference methods. Runs on the event loop of its data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def model_infer(self, message: bytes, context: Context) -> bytes:
        """One request, one answer."""
        try:
            with self._dataplane.admitted():
                return await self._dataplane.infer_grpc(message)
        except NaiadError as error:
            await context.abort(status_of(error), error.message)
        except Exception:
            log.exception("unexpected error in ModelInfer")
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    async def model_stream_infer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Requests and answers in the same order.

        A failed request is a message too and the stream goes on, unless the client sent
        ``triton_grpc_error: true``; then the first failure ends it with a gRPC status.
        """
        strict = _STRICT_ERRORS in (context.invocation_metadata() or ())
        waiting: asyncio.Queue[tuple[bytes, asyncio.Task[bytes]] | None] = asyncio.Queue(_STREAM_WINDOW)
        reader = asyncio.create_task(self._read(requests, waiting))
        try:
            while (item := await waiting.get()) is not None:
                request, answer = item
                try:
                    out = stream_answer(await answer)
                except NaiadError as error:
                    if strict:
                        await context.abort(status_of(error), error.message)
                    out = stream_error(error.message, request)
                await context.write(out)
            await reader
        finally:
            reader.cancel()
            while not waiting.empty():
                if (item := waiting.get_nowait()) is not None:
                    item[1].cancel()

    async def _read(
        self, requests: AsyncIterator[bytes], waiting: asyncio.Queue[tuple[bytes, asyncio.Task[bytes]] | None]
    ) -> None:
        # Tasks start in the order in which they were made, so the core gets the requests in their order.
        try:
            async for request in requests:
                await waiting.put((request, asyncio.create_task(self._infer(request))))
        finally:
            await waiting.put(None)

    async def _infer(self, request: bytes) -> bytes:
        with self._dataplane.admitted():
            return await self._dataplane.infer_grpc(request)


def infer_handlers(methods: InferMethods) -> dict[str, Any]:
    """Handlers by method name. No deserializer and no serializer: bytes in, bytes out."""
    return {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(methods.model_infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(methods.model_stream_infer),
    }
