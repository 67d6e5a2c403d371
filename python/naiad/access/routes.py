"""The routes: which paths and methods there are, and what asking for one means.

The one table of them. The I/O threads decide by it whether a request is refused, before its body is read; the
control plane finds its handlers by it; the matrix test is made from it. What is not here does not exist, and
is of the group "unknown".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Literal

from naiad import protos
from naiad.engine import RouteTable
from naiad.settings import TritonGroup

Group = TritonGroup | Literal["metrics", "openai", "pages", "unknown"]

CHANGES: Final = True
READS: Final = False


class Endpoint(Enum):
    """What a path of HTTP asks for."""

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


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """Paths of one form. A segment in braces stands for a name, {version} for one: a number or a label."""

    endpoint: Endpoint
    path: str
    group: Group
    methods: Mapping[str, bool] = field(hash=False)
    """Each with whether it changes something."""


_GET = {"GET": READS}
_POST = {"POST": CHANGES}
# What is asked for by POST because Triton does.
_POST_READS = {"POST": READS}
_GET_OR_CHANGE = {"GET": READS, "POST": CHANGES}


def _http_routes() -> Iterator[HttpRoute]:
    yield HttpRoute(Endpoint.SERVER, "/v2", "metadata", _GET)
    yield HttpRoute(Endpoint.LIVE, "/v2/health/live", "health", _GET)
    yield HttpRoute(Endpoint.READY, "/v2/health/ready", "health", _GET)
    # Before the model of that name.
    yield HttpRoute(Endpoint.ALL_STATISTICS, "/v2/models/stats", "statistics", _GET)
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        yield HttpRoute(Endpoint.MODEL, model, "metadata", _GET)
        yield HttpRoute(Endpoint.MODEL_READY, f"{model}/ready", "health", _GET)
        yield HttpRoute(Endpoint.MODEL_CONFIG, f"{model}/config", "model-config", _GET)
        yield HttpRoute(Endpoint.MODEL_STATISTICS, f"{model}/stats", "statistics", _GET)
        yield HttpRoute(Endpoint.INFER, f"{model}/infer", "inference", _POST)
        yield HttpRoute(Endpoint.GENERATE, f"{model}/generate", "inference", _POST)
        yield HttpRoute(Endpoint.GENERATE, f"{model}/generate_stream", "inference", _POST)
    yield HttpRoute(Endpoint.ROLLOUT, "/v2/models/{model}/rollout", "model-repository", _GET_OR_CHANGE)
    yield HttpRoute(Endpoint.TRACE, "/v2/trace/setting", "trace", _GET_OR_CHANGE)
    yield HttpRoute(Endpoint.TRACE, "/v2/models/{model}/trace/setting", "trace", _GET_OR_CHANGE)
    yield HttpRoute(Endpoint.LOGGING, "/v2/logging", "logging", _GET_OR_CHANGE)
    yield HttpRoute(Endpoint.INDEX, "/v2/repository/index", "model-repository", _POST_READS)
    yield HttpRoute(Endpoint.INDEX, "/v2/repository/{repository}/index", "model-repository", _POST_READS)
    for repository in ("/v2/repository", "/v2/repository/{repository}"):
        yield HttpRoute(Endpoint.LOAD, f"{repository}/models/{{model}}/load", "model-repository", _POST)
        yield HttpRoute(Endpoint.UNLOAD, f"{repository}/models/{{model}}/unload", "model-repository", _POST)
    for kind, status, register, unregister in (
        (
            "system",
            Endpoint.SYSTEM_REGIONS,
            Endpoint.REGISTER_SYSTEM_REGION,
            Endpoint.UNREGISTER_SYSTEM_REGIONS,
        ),
        ("cuda", Endpoint.CUDA_REGIONS, Endpoint.REGISTER_CUDA_REGION, Endpoint.UNREGISTER_CUDA_REGIONS),
    ):
        regions = f"/v2/{kind}sharedmemory"
        # There is no registering of all regions.
        yield HttpRoute(register, f"{regions}/region/{{region}}/register", "shared-memory", _POST)
        for region in (regions, f"{regions}/region/{{region}}"):
            yield HttpRoute(status, f"{region}/status", "shared-memory", _GET)
            yield HttpRoute(unregister, f"{region}/unregister", "shared-memory", _POST)


HTTP_ROUTES: Final = tuple(_http_routes())

OPENAI_ROUTES: Final[Mapping[str, Mapping[str, bool]]] = {
    "/v1": _GET_OR_CHANGE,
    "/v1/models": _GET,
    "/v1/models/{*}": _GET,
    "/v1/{*}": _GET_OR_CHANGE,
    "/rerank": _POST,
    "/score": _POST,
    "/tokenize": _POST,
    "/detokenize": _POST,
}
"""The paths of the OpenAI-compatible API, all of the group "openai": under the HTTP port and on its own."""

_INFERENCE = {
    "ServerLive": ("health", READS),
    "ServerReady": ("health", READS),
    "ModelReady": ("health", READS),
    "ServerMetadata": ("metadata", READS),
    "ModelMetadata": ("metadata", READS),
    "ModelInfer": ("inference", CHANGES),
    "ModelStreamInfer": ("inference", CHANGES),
    "ModelConfig": ("model-config", READS),
    "ModelStatistics": ("statistics", READS),
    "RepositoryIndex": ("model-repository", READS),
    "RepositoryModelLoad": ("model-repository", CHANGES),
    "RepositoryModelUnload": ("model-repository", CHANGES),
    "SystemSharedMemoryStatus": ("shared-memory", READS),
    "SystemSharedMemoryRegister": ("shared-memory", CHANGES),
    "SystemSharedMemoryUnregister": ("shared-memory", CHANGES),
    "CudaSharedMemoryStatus": ("shared-memory", READS),
    "CudaSharedMemoryRegister": ("shared-memory", CHANGES),
    "CudaSharedMemoryUnregister": ("shared-memory", CHANGES),
    # One method reads and changes: which of the two is not known from its head.
    "TraceSetting": ("trace", CHANGES),
    "LogSettings": ("logging", CHANGES),
}
_HEALTH = dict.fromkeys(("Check", "Watch", "List"), ("health", READS))
_REFLECTION = {"ServerReflectionInfo": ("metadata", READS)}

GRPC_ROUTES: Final[Mapping[str, tuple[str, bool]]] = {
    f"/{service}/{method}": access
    for service, methods in (
        (protos.INFERENCE_SERVICE, _INFERENCE),
        (protos.HEALTH_SERVICE, _HEALTH),
        ("grpc.reflection.v1alpha.ServerReflection", _REFLECTION),
    )
    for method, access in methods.items()
}
"""Methods by path: "/package.Service/Method" -> their group, and whether they change something."""

_GET_OR_HEAD = {"GET": READS, "HEAD": READS}
_UI_MODEL = "/ui/api/models/{model}"
_UI_VERSION = f"{_UI_MODEL}/versions/{{version}}"

METRICS_ROUTES: Final[Mapping[str, tuple[Group, Mapping[str, bool]]]] = {
    "/metrics": ("metrics", _GET_OR_HEAD),
    # The page itself tells nothing: who looks at it may not have entered a key yet.
    "/ui": ("pages", _GET_OR_HEAD),
    "/ui/": ("pages", _GET_OR_HEAD),
    "/ui/{file}": ("pages", _GET_OR_HEAD),
    "/ui/api/access": ("pages", _GET),
    "/ui/api/fleet": ("metrics", _GET),
    "/ui/api/figures": ("metrics", _GET),
    _UI_MODEL: ("metadata", _GET),
    _UI_VERSION: ("metadata", _GET),
    f"{_UI_MODEL}/infer": ("inference", _POST),
    f"{_UI_VERSION}/infer": ("inference", _POST),
    f"{_UI_MODEL}/load": ("model-repository", _POST),
    f"{_UI_MODEL}/unload": ("model-repository", _POST),
    "/ui/v1/chat/completions": ("openai", _POST),
}
"""Paths of the metrics port, each with its group, and its methods as HttpRoute has them."""


KEY_NAME_FIELD: Final = "naiad-key-name"
"""In which the core tells the control plane the name of a request's key, over HTTP and gRPC."""

_CHANGES = {
    (row.endpoint, method) for row in HTTP_ROUTES for method, changes in row.methods.items() if changes
}


def changes_something(endpoint: Endpoint, method: str) -> bool:
    """Whether such a request of HTTP is no mere reading."""
    return (endpoint, method) in _CHANGES


def _openai_rows() -> list[tuple[str, str, list[tuple[str, bool]]]]:
    return [(path, "openai", list(methods.items())) for path, methods in OPENAI_ROUTES.items()]


def http_table() -> RouteTable:
    """The rows of HTTP_ROUTES, in their order, then those of OpenAI's API."""
    rows = [(row.path, row.group, list(row.methods.items())) for row in HTTP_ROUTES]
    return RouteTable([*rows, *_openai_rows()])


def openai_table() -> RouteTable:
    """The paths of OpenAI's API on its own port."""
    return RouteTable(_openai_rows())


def grpc_table() -> RouteTable:
    """All of gRPC's methods are asked for by POST."""
    return RouteTable([(path, group, [("POST", changes)]) for path, (group, changes) in GRPC_ROUTES.items()])


def metrics_table() -> RouteTable:
    """The paths of the metrics port."""
    return RouteTable(
        [(path, group, list(methods.items())) for path, (group, methods) in METRICS_ROUTES.items()]
    )
