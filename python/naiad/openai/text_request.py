"""What requests for text have in common, and the frame of their answers."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from naiad.openai.errors import unsupported
from naiad.openai.fields import Fields, Json
from naiad.openai.sampling import Sampling, read_format

HARMLESS = (
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
)
"""Fields that say nothing about the answer."""
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True)
class AnswerFrame:
    """What stands around the choices of an answer, the same in each of its chunks."""

    id: str
    model: str
    created: int

    @classmethod
    def begin(cls, kind: str, model: str) -> AnswerFrame:
        """Of a new answer. ``kind``: what its id begins with."""
        return cls(f"{kind}-{uuid.uuid4().hex}", model, int(time.time()))

    def around(self, object_name: str, choices: list[Json]) -> Json:
        """The answer, or a chunk of it."""
        return {
            "id": self.id,
            "object": object_name,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def read_stream(fields: Fields) -> tuple[bool, bool]:
    """``stream`` and ``stream_options.include_usage``."""
    stream = fields.boolean("stream")
    values = fields.object("stream_options")
    if values is None:
        return stream, False
    if not stream:
        raise unsupported("stream_options", "needs 'stream'")
    options = Fields(values, "stream_options")
    include_usage = options.boolean("include_usage")
    options.only("continuous_usage_stats", False)
    options.ignore("include_obfuscation")
    options.finish()
    return stream, include_usage


def read_response_format(fields: Fields, sampling: Sampling) -> None:
    """``response_format``."""
    form = fields.object("response_format")
    if form is not None:
        read_format(Fields(form, "response_format"), sampling, "response_format")
