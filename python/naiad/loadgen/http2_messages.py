"""Calls whose answers are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from naiad.loadgen.http2 import DATA, PADDED, CallStream, Ended

Came = Callable[[int, bytes], None]
"""Called with a stream and a message of it."""
_HEAD = 5


class MessageStream(CallStream):
    """Also tells the messages that come, as soon as each is whole."""

    def __init__(
        self,
        authority: str,
        path: str,
        write: Callable[[bytes], None],
        ended: Ended,
        came: Came,
        *,
        scheme: str = "http",
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(authority, path, write, self._call_ended, scheme=scheme, metadata=metadata)
        self._tell_end = ended
        self._came = came
        self._parts: dict[int, bytearray] = {}
        """Stream -> what has come of a message that is not whole."""
        self._refused: set[int] = set()

    def _call_ended(self, stream: int, outcome: str) -> None:
        part = self._parts.pop(stream, b"")
        if stream in self._refused:
            self._refused.discard(stream)
            outcome = outcome or "a message that is compressed, which was not asked for"
        elif part:
            outcome = outcome or "a message that ends too early"
        self._tell_end(stream, outcome)

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA and stream not in self._refused:
            content = body[1 : len(body) - body[0]] if flags & PADDED else body
            kept = self._parts.get(stream)
            if kept is None:
                rest = self._messages(stream, content)
                if rest:
                    self._parts[stream] = bytearray(rest)
            else:
                kept += content
                if len(kept) >= _HEAD and len(kept) >= _HEAD + int.from_bytes(kept[1:_HEAD], "big"):
                    rest = self._messages(stream, bytes(kept))
                    del self._parts[stream]
                    if rest:
                        self._parts[stream] = bytearray(rest)
        super()._frame(kind, flags, stream, body)

    def _messages(self, stream: int, content: bytes) -> bytes:
        """Tells those that are whole; gives the rest."""
        at = 0
        while len(content) - at >= _HEAD:
            if content[at]:
                self._refused.add(stream)
                return b""
            end = at + _HEAD + int.from_bytes(content[at + 1 : at + _HEAD], "big")
            if end > len(content):
                break
            self._came(stream, content[at + _HEAD : end])
            at = end
        return content[at:]
