"""Which path means what. The paths are Triton's; with a version that is not a number there is no path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote


class Endpoint(Enum):
    """What a path asks for."""

    SERVER = auto()
    LIVE = auto()
    READY = auto()
    ALL_STATISTICS = auto()
    MODEL = auto()
    MODEL_READY = auto()
    MODEL_CONFIG = auto()
    MODEL_STATISTICS = auto()
    INFER = auto()
    GENERATE = auto()
    INDEX = auto()
    LOAD = auto()
    UNLOAD = auto()
    SHARED_MEMORY = auto()
    SHARED_MEMORY_CHANGE = auto()
    TRACE = auto()
    LOGGING = auto()


METHODS: dict[Endpoint, tuple[str, ...]] = {
    Endpoint.SERVER: ("GET",),
    Endpoint.LIVE: ("GET",),
    Endpoint.READY: ("GET",),
    Endpoint.ALL_STATISTICS: ("GET",),
    Endpoint.MODEL: ("GET",),
    Endpoint.MODEL_READY: ("GET",),
    Endpoint.MODEL_CONFIG: ("GET",),
    Endpoint.MODEL_STATISTICS: ("GET",),
    Endpoint.INFER: ("POST",),
    Endpoint.GENERATE: ("POST",),
    Endpoint.INDEX: ("POST",),
    Endpoint.LOAD: ("POST",),
    Endpoint.UNLOAD: ("POST",),
    Endpoint.SHARED_MEMORY: ("GET",),
    Endpoint.SHARED_MEMORY_CHANGE: ("POST",),
    Endpoint.TRACE: ("GET", "POST"),
    Endpoint.LOGGING: ("GET", "POST"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """A path that exists. ``model``, ``version``, ``repository`` are "" where the path names none."""

    endpoint: Endpoint
    model: str = ""
    version: str = ""
    repository: str = ""


_FIXED: dict[str, Endpoint] = {
    "/v2": Endpoint.SERVER,
    "/v2/health/live": Endpoint.LIVE,
    "/v2/health/ready": Endpoint.READY,
    "/v2/models/stats": Endpoint.ALL_STATISTICS,
    "/v2/repository/index": Endpoint.INDEX,
    "/v2/trace/setting": Endpoint.TRACE,
    "/v2/logging": Endpoint.LOGGING,
}

_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([0-9]+))?(?:/([a-z_]+))?")
_MODEL_VERBS: dict[str | None, Endpoint] = {
    None: Endpoint.MODEL,
    "ready": Endpoint.MODEL_READY,
    "config": Endpoint.MODEL_CONFIG,
    "stats": Endpoint.MODEL_STATISTICS,
    "infer": Endpoint.INFER,
    "generate": Endpoint.GENERATE,
    "generate_stream": Endpoint.GENERATE,
}
_MODEL_TRACE = re.compile(r"/v2/models/([^/]+)/trace/setting")
_REPOSITORY = re.compile(r"/v2/repository(?:/([^/]+))?/models/([^/]+)/(load|unload)")
_REPOSITORY_INDEX = re.compile(r"/v2/repository/([^/]+)/index")
_SHARED_MEMORY = re.compile(
    r"/v2/(?:system|cuda)sharedmemory(?:(?:/region/[^/]+)?/(status|unregister)|/region/[^/]+/(register))"
)


def find_route(path: str) -> Route | None:
    """The route of ``path`` (percent-encoded, without query), None if there is no such path."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return Route(fixed)
    if match := _MODEL.fullmatch(path):
        endpoint = _MODEL_VERBS.get(match[3])
        return Route(endpoint, _name(match[1]), match[2] or "") if endpoint is not None else None
    if match := _MODEL_TRACE.fullmatch(path):
        return Route(Endpoint.TRACE, _name(match[1]))
    if match := _REPOSITORY.fullmatch(path):
        endpoint = Endpoint.LOAD if match[3] == "load" else Endpoint.UNLOAD
        return Route(endpoint, _name(match[2]), repository=_name(match[1] or ""))
    if match := _REPOSITORY_INDEX.fullmatch(path):
        return Route(Endpoint.INDEX, repository=_name(match[1]))
    if match := _SHARED_MEMORY.fullmatch(path):
        return Route(Endpoint.SHARED_MEMORY if match[1] == "status" else Endpoint.SHARED_MEMORY_CHANGE)
    return None


def _name(segment: str) -> str:
    return unquote(segment) if "%" in segment else segment
