"""Server-sent events, as OpenAI's clients read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator

from aiohttp import web

from naiad.errors import NaiadError
from naiad.openai.errors import ApiError, api_error
from naiad.openai.fields import Json

Event = tuple[str, Json]
"""A name ("": none) and the data."""
Events = AsyncGenerator[Event, None]

DONE = b"data: [DONE]\n\n"

_log = logging.getLogger("naiad.openai")
encode = json.JSONEncoder(separators=(",", ":")).encode
"""JSON as events have it: without spaces."""


def event_bytes(name: str, data: Json) -> bytes:
    """One event as it is sent."""
    text = encode(data)
    return (f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n").encode()


async def answer_events(request: web.BaseRequest, events: Events, *, done: bool) -> web.StreamResponse:
    """Sends the events as they come; ``done``: with ``[DONE]`` behind them.

    What fails before the first is raised: the answer is then an error and no stream. What fails later is an
    event itself. A client that goes cancels the task, and with it ``events``.
    """
    async with contextlib.aclosing(events):
        first = await anext(events, None)
        response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        if first is not None:
            await response.write(event_bytes(*first))
        try:
            async for event in events:
                await response.write(event_bytes(*event))
        except (ApiError, NaiadError) as error:
            await response.write(event_bytes("error" if not done else "", api_error(error).to_json()))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _log.exception("unexpected error in the midst of an answer")
            await response.write(event_bytes("", ApiError(500, "internal error").to_json()))
        if done:
            await response.write(DONE)
        await response.write_eof()
        return response
