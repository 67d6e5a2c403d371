"""Refusals of the ports that are served by aiohttp."""

from __future__ import annotations

from aiohttp import web

from naiad.engine import AccessGate

_STATUS = {"no key": 401, "unknown key": 401, "restricted": 403, "forbidden": 403}


def refusal(gate: AccessGate, request: web.BaseRequest) -> web.Response | None:
    """The answer to a request that is refused, None for one that is not. Any path may be asked about."""
    path = request.raw_path.partition("?")[0]
    reason, _, words = gate.check(request.method, path, list(request.headers.items()))
    if not reason:
        return None
    status = _STATUS[reason]
    asks = {"WWW-Authenticate": 'Bearer realm="naiad"'} if status == 401 else None
    return web.json_response({"error": words}, status=status, headers=asks)
