"""Paths."""

from __future__ import annotations

import pytest

from naiad.http.routes import METHODS, Endpoint, Route, find_route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Route(Endpoint.SERVER)),
        ("/v2/health/live", Route(Endpoint.LIVE)),
        ("/v2/health/ready", Route(Endpoint.READY)),
        ("/v2/models/stats", Route(Endpoint.ALL_STATISTICS)),
        ("/v2/models/m", Route(Endpoint.MODEL, "m")),
        ("/v2/models/m/versions/3", Route(Endpoint.MODEL, "m", "3")),
        ("/v2/models/m/ready", Route(Endpoint.MODEL_READY, "m")),
        ("/v2/models/m/versions/3/ready", Route(Endpoint.MODEL_READY, "m", "3")),
        ("/v2/models/m/config", Route(Endpoint.MODEL_CONFIG, "m")),
        ("/v2/models/m/versions/12/stats", Route(Endpoint.MODEL_STATISTICS, "m", "12")),
        ("/v2/models/m/infer", Route(Endpoint.INFER, "m")),
        ("/v2/models/m/versions/1/infer", Route(Endpoint.INFER, "m", "1")),
        ("/v2/models/a%20b/infer", Route(Endpoint.INFER, "a b")),
        ("/v2/models/%61/infer", Route(Endpoint.INFER, "a")),
        ("/v2/models/m/generate_stream", Route(Endpoint.GENERATE, "m")),
        ("/v2/models/m/trace/setting", Route(Endpoint.TRACE, "m")),
        ("/v2/trace/setting", Route(Endpoint.TRACE)),
        ("/v2/logging", Route(Endpoint.LOGGING)),
        ("/v2/repository/index", Route(Endpoint.INDEX)),
        ("/v2/repository/r/index", Route(Endpoint.INDEX, repository="r")),
        ("/v2/repository/models/m/load", Route(Endpoint.LOAD, "m")),
        ("/v2/repository/r/models/m/unload", Route(Endpoint.UNLOAD, "m", repository="r")),
        ("/v2/systemsharedmemory/status", Route(Endpoint.SYSTEM_REGIONS)),
        ("/v2/systemsharedmemory/region/r/status", Route(Endpoint.SYSTEM_REGIONS, region="r")),
        (
            "/v2/systemsharedmemory/region/a%2Fb/register",
            Route(Endpoint.REGISTER_SYSTEM_REGION, region="a/b"),
        ),
        ("/v2/systemsharedmemory/region/r/unregister", Route(Endpoint.UNREGISTER_SYSTEM_REGIONS, region="r")),
        ("/v2/systemsharedmemory/unregister", Route(Endpoint.UNREGISTER_SYSTEM_REGIONS)),
        ("/v2/cudasharedmemory/region/r/status", Route(Endpoint.CUDA_REGIONS, region="r")),
        ("/v2/cudasharedmemory/region/r/register", Route(Endpoint.REGISTER_CUDA_REGION, region="r")),
        ("/v2/cudasharedmemory/unregister", Route(Endpoint.UNREGISTER_CUDA_REGIONS)),
    ],
)
def test_paths_that_exist(path: str, route: Route) -> None:
    assert find_route(path) == route


@pytest.mark.parametrize(
    "path",
    [
        "/", "", "/v2/", "/v3", "/v2/models", "/v2/models/", "/v2/models/m/", "/v2/models/m/nope",
        "/v2/models/m/versions/1x", "/v2/models/m/versions/_x/ready", "/v2/models/m/versions/-1/infer",
        "/v2/models/m/rollout/", "/v2/models/m/versions/1/rollout",
        "/v2/models/m/versions/", "/v2/models/stats/", "/v2/health", "/v2/models/m/infer/x", "//v2",
        "/v2/systemsharedmemory/register", "/v2/cudasharedmemory/register",
        "/v2/systemsharedmemory/region//status", "/v2/cpusharedmemory/status",
        "/v2/repository/models/m", "/v2/models/m\n/infer/",
    ],
)  # fmt: skip
def test_paths_that_do_not(path: str) -> None:
    assert find_route(path) is None


def test_every_endpoint_has_methods() -> None:
    assert set(METHODS) == set(Endpoint)
