"""An open-loop HTTP client: requests leave when their time has come, whatever has become of the others.

Times of departure are those of a Poisson process. A latency counts from the time at which a request should
have left, so a client that falls behind does not flatter the server.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from sidebyside.request_body import PreparedRequest

_END_OF_HEAD = b"\r\n\r\n"
_GRACE_S = 10.0


@dataclass
class OpenLoopResult:
    """What came of one load. Latencies in ms, of answers with status 200 and of refusals (503) apart."""

    seconds: float
    answered_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    num_failed: int = 0

    @property
    def goodput(self) -> float:
        """Answers per second."""
        return len(self.answered_ms) / self.seconds


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, pool: list[_Connection]) -> None:
        self._pool = pool
        self._buffer = b""
        self._answered: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(0)
        if self in self._pool:
            self._pool.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(_END_OF_HEAD)
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < head_end + len(_END_OF_HEAD) + length:
            return
        status = int(head[9:12])
        self._buffer = b""
        assert self._answered is not None
        self._pool.append(self)
        self._answered.set_result(status)

    async def ask(self, message: bytes) -> int:
        """The status of the answer; 0 when the connection was lost."""
        assert self.transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return await self._answered


async def _load(message: bytes, port: int, rate: float, seconds: float, seed: int) -> OpenLoopResult:
    loop = asyncio.get_running_loop()
    draw = random.Random(seed)
    idle: list[_Connection] = []
    result = OpenLoopResult(seconds)

    async def one(due: float) -> None:
        try:
            if idle:
                connection = idle.pop()
            else:
                _, connection = await loop.create_connection(lambda: _Connection(idle), "127.0.0.1", port)
            status = await connection.ask(message)
        except OSError:
            status = 0
        spent_ms = (time.perf_counter() - due) * 1e3
        if status == 200:
            result.answered_ms.append(spent_ms)
        elif status == 503:
            result.refused_ms.append(spent_ms)
        else:
            result.num_failed += 1

    start = time.perf_counter()
    due = start
    tasks = set()
    while True:
        due += draw.expovariate(rate)
        if due > start + seconds:
            break
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_GRACE_S)
        for task in late:
            task.cancel()
            result.num_failed += 1
    for connection in idle:
        if connection.transport is not None:
            connection.transport.abort()
    return result


def run_open_loop(
    request: PreparedRequest, port: int, rate: float, seconds: float, seed: int
) -> OpenLoopResult:
    """`rate` requests per second for so long. Blocks until all are answered (10 s more at most)."""
    path = request.url.split(f":{port}", 1)[1]
    body = request.body or b""
    fields = {**request.headers, "Host": "127.0.0.1", "Content-Length": str(len(body))}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return asyncio.run(_load(head.encode() + b"\r\n" + body, port, rate, seconds, seed))
