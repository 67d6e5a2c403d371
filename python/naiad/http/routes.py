"""Which path means what. The paths are Triton's; a version is a number or a label."""

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
    SYSTEM_REGIONS = auto()
    REGISTER_SYSTEM_REGION = auto()
    UNREGISTER_SYSTEM_REGIONS = auto()
    CUDA_REGIONS = auto()
    REGISTER_CUDA_REGION = auto()
    UNREGISTER_CUDA_REGIONS = auto()
    ROLLOUT = auto()
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
    Endpoint.SYSTEM_REGIONS: ("GET",),
    Endpoint.REGISTER_SYSTEM_REGION: ("POST",),
    Endpoint.UNREGISTER_SYSTEM_REGIONS: ("POST",),
    Endpoint.CUDA_REGIONS: ("GET",),
    Endpoint.REGISTER_CUDA_REGION: ("POST",),
    Endpoint.UNREGISTER_CUDA_REGIONS: ("POST",),
    Endpoint.ROLLOUT: ("GET", "POST"),
    Endpoint.TRACE: ("GET", "POST"),
    Endpoint.LOGGING: ("GET", "POST"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """A path that exists. What it does not name is ""."""

    endpoint: Endpoint
    model: str = ""
    version: str = ""
    repository: str = ""
    region: str = ""


_FIXED: dict[str, Endpoint] = {
    "/v2": Endpoint.SERVER,
    "/v2/health/live": Endpoint.LIVE,
    "/v2/health/ready": Endpoint.READY,
    "/v2/models/stats": Endpoint.ALL_STATISTICS,
    "/v2/repository/index": Endpoint.INDEX,
    "/v2/trace/setting": Endpoint.TRACE,
    "/v2/logging": Endpoint.LOGGING,
}

_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([0-9]+|[A-Za-z][A-Za-z0-9_.-]*))?(?:/([a-z_]+))?")
_MODEL_VERBS: dict[str | None, Endpoint] = {
    None: Endpoint.MODEL,
    "ready": Endpoint.MODEL_READY,
    "config": Endpoint.MODEL_CONFIG,
    "stats": Endpoint.MODEL_STATISTICS,
    "infer": Endpoint.INFER,
    "generate": Endpoint.GENERATE,
    "generate_stream": Endpoint.GENERATE,
}
_MODEL_ROLLOUT = re.compile(r"/v2/models/([^/]+)/rollout")
_MODEL_TRACE = re.compile(r"/v2/models/([^/]+)/trace/setting")
_REPOSITORY = re.compile(r"/v2/repository(?:/([^/]+))?/models/([^/]+)/(load|unload)")
_REPOSITORY_INDEX = re.compile(r"/v2/repository/([^/]+)/index")
_REGIONS = re.compile(r"/v2/(system|cuda)sharedmemory(?:/region/([^/]+))?/(status|register|unregister)")
_REGION_VERBS = {
    ("system", "status"): Endpoint.SYSTEM_REGIONS,
    ("system", "register"): Endpoint.REGISTER_SYSTEM_REGION,
    ("system", "unregister"): Endpoint.UNREGISTER_SYSTEM_REGIONS,
    ("cuda", "status"): Endpoint.CUDA_REGIONS,
    ("cuda", "register"): Endpoint.REGISTER_CUDA_REGION,
    ("cuda", "unregister"): Endpoint.UNREGISTER_CUDA_REGIONS,
}


def find_route(path: str) -> Route | None:
    """The route of ``path`` (percent-encoded, without query), None if there is no such path."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return Route(fixed)
    if match := _MODEL_ROLLOUT.fullmatch(path):
        return Route(Endpoint.ROLLOUT, _name(match[1]))
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
    if match := _REGIONS.fullmatch(path):
        # There is no registering of all regions.
        if match[3] == "register" and match[2] is None:
            return None
        return Route(_REGION_VERBS[match[1], match[3]], region=_name(match[2] or ""))
    return None


def _name(segment: str) -> str:
    return unquote(segment) if "%" in segment else segment
