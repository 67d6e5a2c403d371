"""Which path means what. The paths are those of the route table; a version is a number or a label."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from naiad.access.routes import HTTP_ROUTES, Endpoint, http_table

__all__ = ["METHODS", "Endpoint", "Route", "find_route"]

METHODS: dict[Endpoint, tuple[str, ...]] = {row.endpoint: tuple(row.methods) for row in HTTP_ROUTES}

_TABLE = http_table()
_FIELDS = {"{model}": "model", "{version}": "version", "{repository}": "repository", "{region}": "region"}
# Of each row, which parts of a Route its segments in braces are.
_NAMES = [
    tuple(_FIELDS[segment] for segment in row.path.split("/") if segment.startswith("{"))
    for row in HTTP_ROUTES
]


@dataclass(frozen=True, slots=True)
class Route:
    """A path that exists. What it does not name is ""."""

    endpoint: Endpoint
    model: str = ""
    version: str = ""
    repository: str = ""
    region: str = ""


def find_route(path: str) -> Route | None:
    """The route of ``path`` (percent-encoded, without query), None if there is no such path."""
    found = _TABLE.find(path.encode(errors="surrogateescape"))
    # What is behind HTTP_ROUTES is another API's.
    if found is None or found[0] >= len(HTTP_ROUTES):
        return None
    row, segments = found
    names = (_name(segment.decode(errors="surrogateescape")) for segment in segments)
    return Route(HTTP_ROUTES[row].endpoint, **dict(zip(_NAMES[row], names, strict=True)))


def _name(segment: str) -> str:
    return unquote(segment) if "%" in segment else segment
