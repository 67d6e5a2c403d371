"""Load over gRPC: serialised requests out, the status of answers in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import cycle
from typing import cast

from naiad.loadgen.http2 import OK, CallStream
from naiad.loadgen.pace import moments
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_PER_CONNECTION = 16
"""Requests that share one in a closed loop."""
_OPEN_LOOP_CONNECTIONS = 4
_PAUSE_S = 0.05


class _Connection(asyncio.Protocol):
    """Calls that are under way on one connection."""

    def __init__(self, load: GrpcLoad) -> None:
        self._load = load
        self._stream: CallStream | None = None
        self._transport: asyncio.Transport | None = None
        self.since: dict[int, float] = {}
        """Stream -> from when its latency counts."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        scenario = self._load.scenario
        authority = f"{scenario.host}:{scenario.port}"
        self._stream = CallStream(authority, METHOD, self._transport.write, self._ended)

    def send(self, message: bytes, since_s: float) -> None:
        """Starts a call."""
        assert self._stream is not None
        self.since[self._stream.call(message)] = since_s

    def data_received(self, data: bytes) -> None:
        assert self._stream is not None and self._transport is not None
        self._stream.receive(data)
        if self._stream.closing and not self.since:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        under_way, self.since = self.since, {}
        now_s = time.monotonic()
        for _ in under_way:
            self._load.recorder.failure(f"connection lost: {error or 'closed by the server'}", now_s)
        self._load.lost(self, len(under_way))

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up a connection with a call that takes too long."""
        if self.since and now_s - next(iter(self.since.values())) > timeout_s and self._transport is not None:
            self._load.recorder.failure(f"no answer in {timeout_s:g} s", now_s)
            self._transport.abort()

    def _ended(self, stream: int, outcome: str) -> None:
        since_s = self.since.pop(stream, None)
        if since_s is None:
            return
        now_s = time.monotonic()
        if outcome == OK:
            self._load.recorder.answer(now_s - since_s, now_s)
        else:
            self._load.recorder.failure(outcome, now_s)
        self._load.free(self)


class GrpcLoad:
    """Runs a scenario until it is cancelled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self.scenario = scenario
        self.recorder = recorder
        self._requests = cycle(scenario.requests)
        self._connections: list[_Connection] = []
        self._under_way = 0
        self._waiting: deque[float] = deque()
        self._owed = 0
        """Calls of a closed loop that lost their connection."""

    async def run(self) -> None:
        """Raises OSError when no connection can be made at the start."""
        scenario = self.scenario
        opened = scenario.rate > 0
        count = _OPEN_LOOP_CONNECTIONS if opened else -(-scenario.concurrency // _PER_CONNECTION)
        for _ in range(count):
            await self._open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(count))
            if opened:
                await self._keep_pace()
            for index in range(scenario.concurrency):
                self._send(self._connections[index % count], time.monotonic())

    def free(self, connection: _Connection) -> None:
        """One of its calls ended."""
        self._under_way -= 1
        if self.scenario.rate <= 0:
            self._send(connection, time.monotonic())
        elif self._waiting:
            self._send(connection, self._waiting.popleft())

    def lost(self, connection: _Connection, under_way: int) -> None:
        """With so many calls."""
        self._under_way -= under_way
        self._owed += under_way
        if connection in self._connections:
            self._connections.remove(connection)

    def _send(self, connection: _Connection, since_s: float) -> None:
        self._under_way += 1
        connection.send(next(self._requests), since_s)

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        host, port = self.scenario.host, self.scenario.port
        _, connection = await loop.create_connection(lambda: _Connection(self), host, port)
        self._connections.append(connection)
        return connection

    async def _watch(self, count: int) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            now_s = time.monotonic()
            self.recorder.tick(now_s)
            for connection in list(self._connections):
                connection.check(now_s, self.scenario.timeout_s)
            while len(self._connections) < count:
                try:
                    connection = await self._open()
                except OSError as error:
                    self.recorder.failure(f"no connection: {error.strerror or error}", time.monotonic())
                    break
                if self.scenario.rate <= 0:
                    for _ in range(self._owed):
                        self._send(connection, time.monotonic())
                self._owed = 0

    async def _keep_pace(self) -> None:
        scenario = self.scenario
        turn = 0
        async for _ in moments(scenario):
            now_s = time.monotonic()
            if self._under_way < scenario.concurrency and self._connections:
                turn += 1
                self._send(self._connections[turn % len(self._connections)], now_s)
            else:
                # Its latency counts from now: what a slow server makes wait is not left out.
                self.recorder.late()
                self._waiting.append(now_s)
