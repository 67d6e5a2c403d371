"""Load over HTTP/1.1: prepared bytes out, lengths of answers in; nothing is parsed that need not be."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import deque
from itertools import cycle
from typing import cast

from naiad.loadgen.pace import moments
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Scenario

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_MOST_REASON = 200


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: HttpLoad) -> None:
        self._load = load
        self._received = b""
        self._length = -1
        self._failed_head = b""
        self._transport: asyncio.Transport | None = None
        self._since_s = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def send(self, request: bytes, since_s: float) -> None:
        """``since_s``: from when its latency counts."""
        assert self._transport is not None
        self.busy = True
        self._since_s = since_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if self._length < 0:
            end = self._received.find(_HEAD_END)
            if end < 0:
                return
            found = _LENGTH.search(self._received, 0, end + 2)
            if found is None:
                self.abort("an answer without Content-Length")
                return
            self._length = end + 4 + int(found[1])
        if len(self._received) < self._length:
            return
        now_s = time.monotonic()
        whole, self._received, self._length = self._received, b"", -1
        self.busy = False
        if whole.startswith(b"HTTP/1.1 200"):
            self._load.recorder.answer(now_s - self._since_s, now_s)
        else:
            status, body = whole.partition(b"\r\n")[0], whole.partition(_HEAD_END)[2]
            text = f"{status.decode(errors='replace')}: {body[:_MOST_REASON].decode(errors='replace')}"
            self._load.recorder.failure(text.removeprefix("HTTP/1.1 "), now_s)
        self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, error)

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up what takes too long."""
        if self.busy and now_s - self._since_s > timeout_s:
            self.abort(f"no answer in {timeout_s:g} s")

    def abort(self, reason: str) -> None:
        """Ends it."""
        self._load.recorder.failure(reason, time.monotonic())
        self.busy = False
        if self._transport is not None:
            self._transport.abort()


class HttpLoad:
    """Runs a scenario until it is cancelled."""

    def __init__(self, scenario: Scenario, recorder: Recorder) -> None:
        self.recorder = recorder
        self._scenario = scenario
        self._requests = cycle(scenario.requests)
        self._connections: set[_Connection] = set()
        self._idle: deque[_Connection] = deque()
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
            self._send(first)
            while len(self._connections) < scenario.concurrency:
                self._send(await self._open())

    async def _watch(self) -> None:
        scenario = self._scenario
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), 0.05)
            self._wanted.clear()
            now_s = time.monotonic()
            self.recorder.tick(now_s)
            for connection in list(self._connections):
                connection.check(now_s, scenario.timeout_s)
            if self._lost and scenario.rate <= 0:
                await self._replace_lost()

    def free(self, connection: _Connection) -> None:
        """It has its answer."""
        if self._scenario.rate <= 0:
            self._send(connection)
        elif self._waiting:
            connection.send(next(self._requests), self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection, error: Exception | None) -> None:
        """Its other end, or this one, closed it."""
        if connection.busy:
            self.recorder.failure(f"connection lost: {error or 'closed by the server'}", time.monotonic())
        self._connections.discard(connection)
        self._lost += 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._wanted.set()

    def _send(self, connection: _Connection) -> None:
        connection.send(next(self._requests), time.monotonic())

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        self._opening += 1
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), self._scenario.host, self._scenario.port
            )
        finally:
            self._opening -= 1
        self._connections.add(connection)
        return connection

    async def _replace_lost(self) -> None:
        while self._lost:
            try:
                self._send(await self._open())
                self._lost -= 1
            except OSError as error:
                self.recorder.failure(f"no connection: {error.strerror or error}", time.monotonic())
                await asyncio.sleep(0.05)
                return

    async def _keep_pace(self, tasks: asyncio.TaskGroup) -> None:
        scenario = self._scenario
        async for _ in moments(scenario):
            if self._idle:
                self._send(self._idle.pop())
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
        connection.send(next(self._requests), since_s)
