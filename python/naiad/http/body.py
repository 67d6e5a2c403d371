"""Reading request bodies within bounds."""

from __future__ import annotations

import asyncio

from aiohttp import web

from naiad.errors import InvalidArgument
from naiad.http.coding import Coding, inflate

# From here on inflating (which lets go of the GIL) is worth a hop to another thread.
_INLINE_INFLATE_BYTES = 16 << 10


async def read_body(request: web.BaseRequest, max_bytes: int) -> bytes:
    """The whole body as it was sent. Raises InvalidArgument as soon as it is known to be too large."""
    declared = request.content_length
    if declared is not None and declared > max_bytes:
        raise _too_large(declared, max_bytes)
    content = request.content
    chunk = await content.readany()
    if len(chunk) == declared:
        return chunk
    pieces: list[bytes] = []
    total = 0
    while chunk:
        total += len(chunk)
        if total > max_bytes:
            raise _too_large(total, max_bytes)
        pieces.append(chunk)
        chunk = await content.readany()
    return b"".join(pieces)


async def plain_body(body: bytes, coding: Coding | None, max_bytes: int) -> bytes:
    """The body without its content coding."""
    if coding is None:
        return body
    if len(body) < _INLINE_INFLATE_BYTES:
        return inflate(body, coding, max_bytes)
    return await asyncio.to_thread(inflate, body, coding, max_bytes)


def _too_large(size_bytes: int, max_bytes: int) -> InvalidArgument:
    return InvalidArgument(
        f"request JSON size of {size_bytes} bytes exceeds the maximum allowed input size of {max_bytes}"
        " bytes. Use --http-max-input-size to increase the limit."
    )
