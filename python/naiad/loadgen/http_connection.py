"""A connection of HTTP/1.1: nothing is parsed that need not be."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from naiad.loadgen.http_load import HttpLoad

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
OK = b"HTTP/1.1 200"
_MOST_REASON = 200


class HttpConnection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: HttpLoad) -> None:
        self._load = load
        self._received = b""
        self._length = -1
        self._transport: asyncio.Transport | None = None
        self._since_s = 0.0
        self.busy = False
        self.requests: Iterator[bytes] = iter(())
        """What it sends, one after the other's answer."""

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
            end = self._received.find(HEAD_END)
            if end < 0:
                return
            found = LENGTH.search(self._received, 0, end + 2)
            if found is None:
                self.abort("an answer without Content-Length")
                return
            self._length = end + 4 + int(found[1])
        if len(self._received) < self._length:
            return
        now_s = time.monotonic()
        whole, self._received, self._length = self._received, b"", -1
        self.busy = False
        if whole.startswith(OK):
            self._load.recorder.answer(now_s - self._since_s, now_s)
        else:
            self._load.failed(self, reason_of(whole), now_s)
        self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, error)

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up what takes too long."""
        if self.busy and now_s - self._since_s > timeout_s:
            self.abort(f"no answer in {timeout_s:g} s")

    def abort(self, reason: str) -> None:
        """Ends it."""
        self._load.failed(self, reason, time.monotonic())
        self.busy = False
        if self._transport is not None:
            self._transport.abort()


def reason_of(answer: bytes) -> str:
    """Of a status but 200."""
    status, body = answer.partition(b"\r\n")[0], answer.partition(HEAD_END)[2]
    text = f"{status.decode(errors='replace')}: {body[:_MOST_REASON].decode(errors='replace')}"
    return text.removeprefix("HTTP/1.1 ")
