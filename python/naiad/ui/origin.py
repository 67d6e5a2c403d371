"""Which requests for the dashboard come from its own page, and the header fields that bind the page.

A browser sends requests for any page that somebody opens. So what is asked here has to come from this very
origin; and where no API keys are needed, a port of this machine alone does not answer to names that could be
anybody's (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from naiad.http.answers import JSON

PAGE_FIELDS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer under /ui."""


def foreign_reason(request: web.BaseRequest) -> str:
    """Why a request can't be one of the page's own; "": it may be one. Who is no browser is believed."""
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin")
    if site not in ("", "same-origin", "none"):
        return "the request comes from another site"
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        return (
            "the request comes from another origin: a proxy in between has to leave the field Host as it is"
        )
    return ""


def is_json(request: web.BaseRequest) -> bool:
    """Whether a request says that it brings JSON, as no form of another site can."""
    return request.content_type == JSON


def is_own_name(host: str) -> bool:
    """Whether a Host field can only mean this machine: an address, or localhost."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
