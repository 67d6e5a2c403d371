"""A connection whose answers are events (SSE), each a response of its own."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from naiad.loadgen.http_connection import HEAD_END, OK, HttpConnection, reason_of

if TYPE_CHECKING:
    from naiad.loadgen.http_load import HttpLoad

_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_EVENT_END = b"\n\n"


class Chunks:
    """The body of one answer."""

    def __init__(self) -> None:
        self._rest = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The content of the chunks that are whole by now. Raises ValueError for what is no chunk."""
        buffer = self._rest + data
        content = []
        at = 0
        while (line_end := buffer.find(b"\r\n", at)) >= 0:
            size = int(buffer[at:line_end].partition(b";")[0], 16)
            if size == 0:
                self.ended = buffer.find(HEAD_END, line_end) >= 0
                break
            end = line_end + 2 + size
            if len(buffer) < end + 2:
                break
            content.append(buffer[line_end + 2 : end])
            at = end + 2
        self._rest = buffer[at:]
        return b"".join(content)


class EventConnection(HttpConnection):
    """One request at a time, with any number of responses."""

    def __init__(self, load: HttpLoad, outputs: tuple[str, ...]) -> None:
        super().__init__(load)
        self._outputs = frozenset(outputs)
        self._chunks: Chunks | None = None
        self._head = b""
        self._content = b""
        self._before_s: float | None = None
        """When the newest response came."""
        self._error = ""

    def data_received(self, data: bytes) -> None:
        if self._chunks is None:
            received = self._received + data
            end = received.find(HEAD_END)
            if end < 0:
                self._received = received
                return
            if not _CHUNKED.search(received, 0, end + 2):
                if received.startswith(OK):
                    self.abort("an answer that is no stream of events")
                else:
                    super().data_received(data)
                return
            self._head, data = received[: end + 4], received[end + 4 :]
            self._received, self._chunks = b"", Chunks()
        try:
            self._content += self._chunks.feed(data)
        except ValueError:
            self.abort("a chunk of an answer that can not be read")
            return
        if self._head.startswith(OK):
            *events, self._content = self._content.split(_EVENT_END)
            for event in events:
                self._event(event)
        if self._chunks.ended:
            self._end()

    def check(self, now_s: float, timeout_s: float) -> None:
        """Gives up a stream that comes no further."""
        if self.busy and now_s - (self._before_s or self._since_s) > timeout_s:
            self.abort(f"no response in {timeout_s:g} s")

    def _event(self, event: bytes) -> None:
        try:
            tree = json.loads(event.removeprefix(b"data:"))
        except ValueError:
            self._error = "an event that is no JSON"
            return
        if "error" in tree:
            self._error = f"the stream failed: {tree['error']}"
        elif not self._outputs.isdisjoint(tree):
            now_s = time.monotonic()
            self._load.recorder.response(self._since_s, self._before_s, now_s)
            self._before_s = now_s

    def _end(self) -> None:
        now_s = time.monotonic()
        error = self._error if self._head.startswith(OK) else reason_of(self._head + self._content)
        self._chunks, self._content, self._before_s, self._error = None, b"", None, ""
        self.busy = False
        if error:
            self._load.failed(self, error, now_s)
        else:
            self._load.recorder.answer(now_s - self._since_s, now_s)
        self._load.free(self)
