"""Refusals of the ports that are served by aiohttp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from naiad.engine import AccessGate

_STATUS = {
    "no key": 401,
    "unknown key": 401,
    "restricted": 403,
    "forbidden": 403,
    "guessing": 429,
    "unchecked": 503,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request is answered that may not be asked."""

    status: int
    words: str
    headers: Mapping[str, str]


def refusal(gate: AccessGate, request: web.BaseRequest) -> Refusal | None:
    """Why a request is refused, None for one that is not. Any path may be asked about."""
    path = request.raw_path.partition("?")[0]
    fields = list(request.headers.items())
    reason, _, words, retry_after_s = gate.check(request.method, path, fields, request.remote or "")
    if not reason:
        return None
    headers = {}
    if _STATUS[reason] == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="naiad"'
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return Refusal(_STATUS[reason], words, headers)
