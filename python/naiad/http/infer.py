"""The infer endpoint: the one path of HTTP that has to be short."""

from __future__ import annotations

import asyncio

from aiohttp import web

from naiad.engine import HttpAnswer
from naiad.handlers.dataplane import DataPlane
from naiad.http.answers import BINARY, JSON, PiecesAnswer
from naiad.http.body import HEADER_LENGTH, header_length, plain_body, read_body
from naiad.http.coding import Coding, deflated, request_coding, response_coding

_INLINE_DEFLATE_BYTES = 16 << 10


async def answer_infer(
    dataplane: DataPlane, request: web.BaseRequest, model: str, version: str, max_bytes: int
) -> web.StreamResponse:
    """Reads the request, waits for the model, makes the answer. Raises what naiad.errors has."""
    headers = request.headers
    with dataplane.admitted():
        coding = request_coding(headers.get("Content-Encoding"))
        body = await read_body(request, max_bytes)
        if coding is not None:
            body = await plain_body(body, coding, max_bytes)
        length = (
            header_length(headers.getall(HEADER_LENGTH, []), len(body)) if HEADER_LENGTH in headers else None
        )
        answer = await dataplane.infer_http(model, version, body, length)
        return await _response(answer, response_coding(headers.get("Accept-Encoding")))


async def _response(answer: HttpAnswer, coding: Coding | None) -> web.StreamResponse:
    body = answer.body
    headers: dict[str, str] = {}
    if answer.json_size is None:
        headers["Content-Type"] = JSON
    else:
        headers["Content-Type"] = BINARY
        headers[HEADER_LENGTH] = str(answer.json_size)
    if coding is not None:
        headers["Content-Encoding"] = coding
        pieces = [body] if isinstance(body, bytes) else body
        if sum(len(piece) for piece in pieces) < _INLINE_DEFLATE_BYTES:
            body = deflated(pieces, coding)
        else:
            body = await asyncio.to_thread(deflated, pieces, coding)
    if isinstance(body, list):
        return PiecesAnswer(body, headers)
    return web.Response(body=body, headers=headers)
