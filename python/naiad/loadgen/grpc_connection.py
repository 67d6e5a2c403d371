"""A connection of gRPC: the status of each call in, its messages unread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from naiad.loadgen.http2 import OK, CallStream

if TYPE_CHECKING:
    from naiad.loadgen.grpc_load import GrpcLoad

METHOD = "/inference.GRPCInferenceService/ModelInfer"


class GrpcConnection(asyncio.Protocol):
    """Calls that are under way on one connection."""

    def __init__(self, load: GrpcLoad) -> None:
        self._load = load
        self._stream: CallStream | None = None
        self._transport: asyncio.Transport | None = None
        self.since: dict[int, tuple[float, Iterator[bytes]]] = {}
        """Stream -> from when its latency counts, and what comes after it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._stream = self._calls(self._transport.write)

    def _calls(self, write: Callable[[bytes], None]) -> CallStream:
        scenario = self._load.scenario
        scheme, metadata = ("https" if scenario.access.tls else "http"), scenario.access.headers
        authority = f"{scenario.host}:{scenario.port}"
        return CallStream(authority, METHOD, write, self._ended, scheme=scheme, metadata=metadata)

    def send(self, message: bytes, requests: Iterator[bytes], since_s: float) -> None:
        """Starts a call."""
        assert self._stream is not None
        self.since[self._stream.call(message)] = since_s, requests

    def data_received(self, data: bytes) -> None:
        assert self._stream is not None and self._transport is not None
        self._stream.receive(data)
        if self._stream.closing and not self.since:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        under_way, self.since = self.since, {}
        now_s = time.monotonic()
        for _, requests in under_way.values():
            self._load.failed(requests, f"connection lost: {error or 'closed by the server'}", now_s)
        self._load.lost(self, [requests for _, requests in under_way.values()])

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up a connection with a call that takes too long."""
        if self.since and now_s - next(iter(self.since.values()))[0] > timeout_s:
            self._give_up(f"no answer in {timeout_s:g} s", now_s)

    def _give_up(self, reason: str, now_s: float) -> None:
        self._load.recorder.failure(reason, now_s)
        if self._transport is not None:
            self._transport.abort()

    def _ended(self, stream: int, outcome: str) -> None:
        call = self.since.pop(stream, None)
        if call is None:
            return
        since_s, requests = call
        now_s = time.monotonic()
        if outcome == OK:
            self._load.recorder.answer(now_s - since_s, now_s)
        else:
            self._load.failed(requests, outcome, now_s)
        self._load.free(self, requests)
