"""Load over HTTP/1.1: prepared bytes out, lengths of answers in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import replace

from naiad.loadgen.http_connection import HttpConnection
from naiad.loadgen.http_events import EventConnection
from naiad.loadgen.pace import moments
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.sequences import requests_of

_PAUSE_S = 0.05


class HttpLoad:
    """Runs a scenario until it is cancelled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self.recorder = recorder
        self._scenario = scenario
        self._requests = requests_of(scenario)
        self._tls = scenario.access.context("http/1.1")
        self._connections: set[HttpConnection] = set()
        self._idle: deque[HttpConnection] = deque()
        self._waiting: deque[float] = deque()
        self._wanted = asyncio.Event()
        self._opening = 0
        self._lost = 0
        """Connections that are to be replaced."""

    async def run(self) -> None:
        """Raises OSError when not one connection can be made at the start."""
        scenario = self._scenario
        first = await self._open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            if scenario.rate > 0:
                self._idle.append(first)
                await self._keep_pace(tasks)
            self._send(first, time.monotonic())
            while len(self._connections) < scenario.concurrency:
                self._send(await self._open(), time.monotonic())

    async def _watch(self) -> None:
        scenario = self._scenario
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _PAUSE_S)
            self._wanted.clear()
            now_s = time.monotonic()
            self.recorder.tick(now_s)
            for connection in list(self._connections):
                connection.check(now_s, scenario.timeout_s)
            if self._lost and scenario.rate <= 0:
                await self._replace_lost()

    def free(self, connection: HttpConnection) -> None:
        """It has its answer."""
        if self._scenario.rate <= 0:
            self._send(connection, time.monotonic())
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: HttpConnection, error: Exception | None) -> None:
        """Its other end, or this one, closed it."""
        if connection.busy:
            connection.busy = False
            self.failed(connection, f"connection lost: {error or 'closed by the server'}", time.monotonic())
        self._requests.give_back(connection.requests)
        self._connections.discard(connection)
        self._lost += 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._wanted.set()

    def failed(self, connection: HttpConnection, reason: str, now_s: float) -> None:
        """Its request."""
        self.recorder.failure(reason, now_s)
        self._requests.failed(connection.requests)

    async def end_sequences(self, timeout_s: float) -> None:
        """After ``run`` was cancelled: what the server keeps for sequences is given free."""
        self._scenario = replace(self._scenario, rate=0.0)  # a request follows an answer
        self._requests.end()
        for connection in self._connections:
            if not connection.busy:
                self._send(connection, time.monotonic())
        end_s = time.monotonic() + timeout_s
        while any(connection.busy for connection in self._connections) and time.monotonic() < end_s:
            await asyncio.sleep(_PAUSE_S)

    def _send(self, connection: HttpConnection, since_s: float) -> None:
        try:
            request = next(connection.requests)
        except StopIteration:
            return
        connection.send(request, since_s)

    def _new_connection(self) -> HttpConnection:
        if self._scenario.streaming:
            return EventConnection(self, self._scenario.outputs)
        return HttpConnection(self)

    async def _open(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        self._opening += 1
        try:
            _, connection = await loop.create_connection(
                self._new_connection, self._scenario.host, self._scenario.port, ssl=self._tls
            )
        finally:
            self._opening -= 1
        connection.requests = self._requests.take()
        self._connections.add(connection)
        return connection

    async def _replace_lost(self) -> None:
        while self._lost:
            try:
                self._send(await self._open(), time.monotonic())
                self._lost -= 1
            except OSError as error:
                self.recorder.failure(f"no connection: {error.strerror or error}", time.monotonic())
                await asyncio.sleep(_PAUSE_S)
                return

    async def _keep_pace(self, tasks: asyncio.TaskGroup) -> None:
        scenario = self._scenario
        async for _ in moments(scenario):
            if self._idle:
                self._send(self._idle.pop(), time.monotonic())
            elif len(self._connections) + self._opening < scenario.concurrency:
                tasks.create_task(self._send_on_new(time.monotonic()))
            else:
                # Its latency counts from now: what a slow server makes wait is not left out.
                self.recorder.late()
                self._waiting.append(time.monotonic())

    async def _send_on_new(self, since_s: float) -> None:
        try:
            connection = await self._open()
        except OSError as error:
            self.recorder.failure(f"no connection: {error.strerror or error}", time.monotonic())
            return
        self._send(connection, since_s)
