"""What can not be asked of many replicas by way of one of them, and what to do instead."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from naiad import protos
from naiad.access.routes import GRPC_ROUTES, OPENAI_ROUTES, Endpoint, changes_something
from naiad.http.routes import find_route

_INSTEAD = {
    "shared-memory": "shared memory belongs to one machine, and any replica may answer: send tensors with "
    "the request",
    "model-repository": "this would change one replica of several: change the model repository and run naiad "
    "ray deploy again",
}
_OTHERWISE = (
    "this would change one replica of several: give the setting to naiad ray deploy, or serve without Ray"
)
_OPENAI = (
    "the OpenAI API does not load models on demand: deploy this model in an application without "
    "--models-per-replica"
)
_TAKEN = frozenset({Endpoint.INFER, Endpoint.GENERATE})
_REGIONS = frozenset(
    {
        Endpoint.REGISTER_SYSTEM_REGION,
        Endpoint.UNREGISTER_SYSTEM_REGIONS,
        Endpoint.REGISTER_CUDA_REGION,
        Endpoint.UNREGISTER_CUDA_REGIONS,
    }
)
_MODELS = frozenset({Endpoint.LOAD, Endpoint.UNLOAD, Endpoint.ROLLOUT})
_SETTINGS = {"TraceSetting": "inference.TraceSettingRequest", "LogSettings": "inference.LogSettingsRequest"}


def refused_path(method: str, path: str, *, on_demand: bool) -> str | None:
    """Why a request of HTTP is refused; None: it is not. ``path``: percent-encoded, without query.
    ``on_demand``: models are loaded when they are asked for.
    """
    route = find_route(path)
    if route is None:
        return _OPENAI if on_demand and _is_openai(path) else None
    if route.endpoint in _TAKEN or not changes_something(route.endpoint, method):
        return None
    if route.endpoint in _REGIONS:
        return _INSTEAD["shared-memory"]
    return _INSTEAD["model-repository"] if route.endpoint in _MODELS else _OTHERWISE


def refused_call(path: str, message: bytes) -> str | None:
    """The same of a gRPC method, "/package.Service/Method", and its message."""
    group, changes = GRPC_ROUTES[path]
    if not changes or group == "inference":
        return None
    kind = _SETTINGS.get(path.rpartition("/")[2])
    if kind is None:
        return _INSTEAD[group]
    # These read when they set nothing. What is no such message the replica itself refuses.
    try:
        sets = bool(protos.message_class(kind).FromString(message).settings)
    except DecodeError:
        return None
    return _OTHERWISE if sets else None


def _is_openai(path: str) -> bool:
    return path in OPENAI_ROUTES or path.startswith("/v1/")
