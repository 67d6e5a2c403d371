"""Requests that have come by the core, on a connection between it and this process: what answers them may
leave the answer to the core.
"""

from __future__ import annotations

from aiohttp import web

_MARK = "naiad.relayed"


def mark_relayed(request: web.BaseRequest) -> None:
    """Of a connection that nobody else can have made."""
    request[_MARK] = True


def is_relayed(request: web.BaseRequest) -> bool:
    """Whether the core reads the answer."""
    return bool(request.get(_MARK))
