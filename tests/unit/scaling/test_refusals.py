from __future__ import annotations

import pytest

from naiad import protos
from naiad.access.routes import GRPC_ROUTES, HTTP_ROUTES
from naiad.scaling.refusals import refused_call, refused_path

INFER = "/inference.GRPCInferenceService/"


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v2/models/m/versions/2/generate_stream"])
def test_inference_is_what_it_is_for(path: str) -> None:
    assert refused_path("POST", path, on_demand=True) is None


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/v2/repository/models/m/load", "naiad ray deploy again"),
        ("/v2/repository/models/m/unload", "naiad ray deploy again"),
        ("/v2/models/m/rollout", "naiad ray deploy again"),
        ("/v2/systemsharedmemory/region/r/register", "send tensors with the request"),
        ("/v2/cudasharedmemory/unregister", "send tensors with the request"),
        ("/v2/logging", "one replica of several"),
        ("/v2/trace/setting", "one replica of several"),
    ],
)
def test_what_would_change_one_replica_is_refused_with_what_to_do(path: str, instead: str) -> None:
    assert instead in (refused_path("POST", path, on_demand=False) or "")


def test_no_reading_is_refused_and_every_change_is() -> None:
    for route in HTTP_ROUTES:
        for method, changes in route.methods.items():
            path = route.path.replace("{", "").replace("}", "").replace("version/", "1/")
            path = path.replace("versions/version", "versions/1")
            refused = refused_path(method, path, on_demand=False) is not None
            assert refused == (changes and route.group != "inference"), path


def test_openai_is_refused_where_models_come_on_demand() -> None:
    assert refused_path("POST", "/v1/chat/completions", on_demand=False) is None
    assert "--models-per-replica" in (refused_path("POST", "/v1/chat/completions", on_demand=True) or "")
    assert refused_path("GET", "/somewhere", on_demand=True) is None


def test_grpc_methods_by_the_same_rule() -> None:
    for path, (group, changes) in GRPC_ROUTES.items():
        if path in (f"{INFER}TraceSetting", f"{INFER}LogSettings"):
            continue
        assert (refused_call(path, b"") is not None) == (changes and group != "inference"), path


@pytest.mark.parametrize(("method", "kind"), [("TraceSetting", "trace"), ("LogSettings", "log")])
def test_settings_are_read_and_not_changed(method: str, kind: str) -> None:
    request = protos.message_class(f"inference.{method}Request")()
    assert refused_call(INFER + method, request.SerializeToString()) is None
    if kind == "trace":
        request.settings["trace_rate"].value.append("1")
    else:
        request.settings["log_info"].bool_param = True
    assert "one replica" in (refused_call(INFER + method, request.SerializeToString()) or "")
    # What is no message the server refuses in its own words.
    assert refused_call(INFER + method, b"\xff") is None
