"""gRPC from a proxy of Ray Serve to the server of a replica, by bytes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc

_Metadata = Iterable[tuple[str, str | bytes]]
_OWN = frozenset({"user-agent", "content-type", "te", "request_id", "application", "multiplexed_model_id"})
"""What a connection says of itself, and what is for Serve."""
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class GrpcForwarder:
    """Calls one server over one channel. One event loop. Who is cancelled cancels the call; failures are
    grpc.aio.AioRpcError.
    """

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._methods: dict[str, Any] = {}

    async def close(self) -> None:
        await self._channel.close()

    async def unary(self, path: str, message: bytes, metadata: _Metadata) -> bytes:
        """``path``: "/package.Service/Method"."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._channel.unary_unary(path)
        answer: bytes = await method(message, metadata=_onward(metadata))
        return answer

    async def server_stream(self, path: str, message: bytes, metadata: _Metadata) -> AsyncIterator[bytes]:
        method: Any = self._channel.unary_stream(path)
        call = method(message, metadata=_onward(metadata))
        async for answer in _answers(call):
            yield answer

    async def both_stream(
        self, path: str, messages: AsyncIterable[bytes], metadata: _Metadata
    ) -> AsyncIterator[bytes]:
        method: Any = self._channel.stream_stream(path)
        call = method(messages, metadata=_onward(metadata))
        async for answer in _answers(call):
            yield answer


async def _answers(call: Any) -> AsyncIterator[bytes]:
    try:
        async for answer in call:
            yield answer
    finally:
        call.cancel()


def _onward(metadata: _Metadata) -> list[tuple[str, str | bytes]]:
    return [
        (name, value) for name, value in metadata if name not in _OWN and not name.startswith(("grpc-", ":"))
    ]
