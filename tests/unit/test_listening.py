"""A port that aiohttp answers on: what it bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from naiad import listening
from naiad.listening import ListeningPort

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="here")


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ListeningPort]:
    monkeypatch.setattr(listening, "HEAD_TIMEOUT_S", 0.05)
    made = ListeningPort(answer, "127.0.0.1", 0, max_connections=3)
    await made.start()
    yield made
    await made.stop()


async def connect(port: ListeningPort) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port.port)


async def first_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        writer.write(ASK)
        return (await reader.readline()).strip()
    except ConnectionError:
        return b""


@pytest.mark.asyncio
async def test_connections_are_bounded(port: ListeningPort) -> None:
    connections = [await connect(port) for _ in range(4)]
    lines = [await first_line(*each) for each in connections]
    assert lines == [b"HTTP/1.1 200 OK"] * 3 + [b""]
    for _, writer in connections:
        writer.close()


@pytest.mark.asyncio
async def test_who_asks_nothing_is_cut_off(port: ListeningPort) -> None:
    reader, writer = await connect(port)
    writer.write(ASK[:10])
    assert await reader.read() == b""
    writer.close()
    # Who has asked may go on.
    reader, writer = await connect(port)
    assert await first_line(reader, writer) == b"HTTP/1.1 200 OK"
    await asyncio.sleep(0.1)
    while await reader.readline() != b"\r\n":
        pass
    assert await reader.readexactly(4) == b"here"
    assert await first_line(reader, writer) == b"HTTP/1.1 200 OK"
    writer.close()
