"""Load over gRPC: serialised requests out, the status of answers in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from naiad.loadgen.grpc_connection import GrpcConnection
from naiad.loadgen.grpc_stream import StreamingConnection
from naiad.loadgen.pace import moments
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.sequences import requests_of

_PER_CONNECTION = 16
"""Requests that share one in a closed loop."""
_OPEN_LOOP_CONNECTIONS = 4
_PAUSE_S = 0.05


class GrpcLoad:
    """Runs a scenario until it is cancelled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self.scenario = scenario
        self.recorder = recorder
        self._requests = requests_of(scenario)
        self._tls = scenario.access.context("h2")
        self._connections: list[GrpcConnection] = []
        self._under_way = 0
        self._waiting: deque[float] = deque()
        self._owed: list[Iterator[bytes]] = []
        """Of a closed loop: slots that lost their connection."""

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
                self._send(self._connections[index % count], self._requests.take(), time.monotonic())

    def free(self, connection: GrpcConnection, requests: Iterator[bytes]) -> None:
        """One of its calls ended."""
        self._under_way -= 1
        if self.scenario.rate <= 0:
            self._send(connection, requests, time.monotonic())
        elif self._waiting:
            self._send(connection, requests, self._waiting.popleft())
        else:
            self._requests.give_back(requests)

    def failed(self, requests: Iterator[bytes], reason: str, now_s: float) -> None:
        """A call, the last one of ``requests``."""
        self.recorder.failure(reason, now_s)
        self._requests.failed(requests)

    def lost(self, connection: GrpcConnection, under_way: list[Iterator[bytes]]) -> None:
        """With these calls."""
        self._under_way -= len(under_way)
        if self.scenario.rate <= 0:
            self._owed += under_way
        else:
            for requests in under_way:
                self._requests.give_back(requests)
        if connection in self._connections:
            self._connections.remove(connection)

    async def end_sequences(self, timeout_s: float) -> None:
        """After ``run`` was cancelled: what the server keeps for sequences is given free."""
        self.scenario = replace(self.scenario, rate=0.0)  # a call follows an answer
        for index, requests in enumerate(self._requests.end()):
            if self._connections:
                self._send(self._connections[index % len(self._connections)], requests, time.monotonic())
        end_s = time.monotonic() + timeout_s
        while self._under_way and time.monotonic() < end_s:
            await asyncio.sleep(_PAUSE_S)

    def _send(self, connection: GrpcConnection, requests: Iterator[bytes], since_s: float) -> None:
        try:
            message = next(requests)
        except StopIteration:
            return
        self._under_way += 1
        connection.send(message, requests, since_s)

    async def _open(self) -> GrpcConnection:
        loop = asyncio.get_running_loop()
        host, port = self.scenario.host, self.scenario.port
        kind = StreamingConnection if self.scenario.streaming else GrpcConnection
        _, connection = await loop.create_connection(lambda: kind(self), host, port, ssl=self._tls)
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
                owed, self._owed = self._owed, []
                for requests in owed:
                    self._send(connection, requests, time.monotonic())

    async def _keep_pace(self) -> None:
        scenario = self.scenario
        turn = 0
        async for _ in moments(scenario):
            now_s = time.monotonic()
            if self._under_way < scenario.concurrency and self._connections:
                turn += 1
                connection = self._connections[turn % len(self._connections)]
                self._send(connection, self._requests.take(), now_s)
            else:
                # Its latency counts from now: what a slow server makes wait is not left out.
                self.recorder.late()
                self._waiting.append(now_s)
