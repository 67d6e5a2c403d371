"""The metrics port: what it bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from naiad.metrics import edge as module
from naiad.metrics.edge import MetricsEdge
from naiad.settings import MetricsSettings

ASK = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest_asyncio.fixture
async def edge(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MetricsEdge]:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(module, "HEAD_TIMEOUT_S", 0.05)
    made = MetricsEdge(CollectorRegistry(auto_describe=False), MetricsSettings(port=0))
    await made.start()
    yield made
    await made.stop()


async def connect(edge: MetricsEdge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", edge.port)


async def first_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        writer.write(ASK)
        return (await reader.readline()).strip()
    except ConnectionError:
        return b""


@pytest.mark.asyncio
async def test_connections_are_bounded(edge: MetricsEdge) -> None:
    connections = [await connect(edge) for _ in range(4)]
    lines = [await first_line(*each) for each in connections]
    assert lines == [b"HTTP/1.1 200 OK"] * 3 + [b""]
    for _, writer in connections:
        writer.close()


@pytest.mark.asyncio
async def test_who_asks_nothing_is_cut_off(edge: MetricsEdge) -> None:
    reader, writer = await connect(edge)
    writer.write(ASK[:10])
    assert await reader.read() == b""
    writer.close()
    # Who has asked may go on.
    reader, writer = await connect(edge)
    assert await first_line(reader, writer) == b"HTTP/1.1 200 OK"
    await asyncio.sleep(0.1)
    while await reader.readline() != b"\r\n":
        pass
    assert await first_line(reader, writer) == b"HTTP/1.1 200 OK"
    writer.close()
