"""Reading request bodies within bounds."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from naiad.errors import InvalidArgument
from naiad.http.coding import Coding, inflate

HEADER_LENGTH = "Inference-Header-Content-Length"

# From here on inflating (which lets go of the GIL) is worth a hop to another thread.
_INLINE_INFLATE_BYTES = 16 << 10
_DECIMAL = re.compile(r"[0-9]{1,18}")


async def read_body(request: web.BaseRequest, max_bytes: int) -> bytes:
    """The whole body as it was sent. Raises InvalidArgument as soon as it is known to be too large."""
    declared = request.content_length
    if declared is not None and declared > max_bytes:
        raise _too_large(declared, max_bytes)
    if "Expect" in request.headers and request.headers["Expect"].lower() == "100-continue":
        transport = request.transport
        if transport is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
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


def header_length(values: list[str], body_size: int) -> int | None:
    """The value of Inference-Header-Content-Length, None if it was not sent.

    Only plain decimal digits are a number here, and only up to the size of the body.
    """
    if not values:
        return None
    text = values[0]
    if len(values) != 1 or _DECIMAL.fullmatch(text) is None:
        shown = ",".join(values)[:32]
        raise InvalidArgument(f"{HEADER_LENGTH} should be one decimal number, got '{shown}'")
    length = int(text)
    if length > body_size:
        raise InvalidArgument(f"inference header size should be in range (0, {body_size}), got: {length}")
    return length


def _too_large(size_bytes: int, max_bytes: int) -> InvalidArgument:
    return InvalidArgument(
        f"request JSON size of {size_bytes} bytes exceeds the maximum allowed input size of {max_bytes}"
        " bytes. Use --http-max-input-size to increase the limit."
    )
