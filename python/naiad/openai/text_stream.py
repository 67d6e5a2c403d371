"""An answer that is streamed, and how the core streams it by itself.

Most streams are the text of one answer. Then what stands around each piece of text is known beforehand: the
core asks the model and writes the events, and Python has no part in any token. Others (several answers,
logprobs, tools) come through Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from naiad.openai.events import DONE, Events, encode, event_bytes
from naiad.openai.fields import Json
from naiad.openai.generation import Generation

_FIELD = "Naiad-Text-Frame"  # csrc/io/control_proxy.cc reads it
_COUNTS = {"INT32", "UINT32", "INT64", "UINT64"}

# No event holds such an object of its own.
TEXT: Json = {"\0": "text"}
REASON: Json = {"\0": "reason"}
USAGE: Json = {"\0": "usage"}
"""Where the core puts the text, the reason of the end, and the counts of tokens."""


@dataclass(frozen=True)
class TextFrame:
    """What stands around the text of one answer: the data of events, with TEXT, REASON and USAGE in the place
    of what comes of the model.
    """

    text: Json
    end: Json
    """The last one, with REASON. Without TEXT: a text that comes with the end is an event before it."""
    opening: Json | None = None
    """Before the first text."""
    usage: Json | None = None
    """Behind the end."""
    has_empty: bool = False
    """Whether a token that shows nothing yet is an event too."""

    def to_json(self, model: str) -> Json:
        """As csrc/protocol/text_frame.h has it."""
        before_text, after_text = _pieces(self.text, TEXT)
        *before_end_text, before_reason, after_reason = _pieces(self.end, TEXT, REASON)
        before_usage, after_usage = ("", "") if self.usage is None else _pieces(self.usage, USAGE)
        return {
            "model": model,
            "opening": "" if self.opening is None else event_bytes("", self.opening).decode(),
            "before_text": before_text,
            "after_text": after_text,
            "ends_with_text": bool(before_end_text),
            "before_end_text": "".join(before_end_text),
            "before_reason": before_reason,
            "after_reason": after_reason,
            "before_usage": before_usage,
            "after_usage": after_usage,
            "closing": DONE.decode(),
            "has_empty": self.has_empty,
        }


@dataclass(frozen=True)
class TextStream:
    """An answer of one text. ``events`` are those that the frame describes."""

    generation: Generation
    frame: TextFrame
    events: Callable[[], Events]

    @property
    def can_be_handed_over(self) -> bool:
        """Whether the core can read what the model says."""
        config = self.generation.entry.config
        kinds = {tensor.name: tensor.datatype for tensor in config.outputs}
        return kinds.get("finish_reason", "BYTES") == "BYTES" and all(
            kinds.get(name, "UINT32") in _COUNTS for name in ("num_input_tokens", "num_output_tokens")
        )

    def handed_over(self) -> web.Response:
        """The answer that makes the core ask the model and send the events."""
        generation = self.generation
        frame = encode(self.frame.to_json(generation.entry.name)).encode()
        members = encode(generation.members).encode()
        return web.Response(
            body=frame + members, content_type="application/json", headers={_FIELD: str(len(frame))}
        )


def _pieces(data: Json, *marks: Json) -> list[str]:
    """The event, cut where the marks are; one that is not in it cuts nothing."""
    pieces = [event_bytes("", data).decode()]
    for mark in marks:
        before, found, behind = pieces[-1].partition(encode(mark))
        if found:
            pieces[-1:] = [before, behind]
    return pieces
