"""Restricted APIs and metrics, as both servers have them."""

from __future__ import annotations

import http.client
import json
import re
import urllib.request
from functools import partial
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from .sides import Pair, Side

RESTRICTED = "restricted APIs"
METRICS = "metrics"
_SERVICE = "/inference.GRPCInferenceService"
REQUEST = json.dumps({"inputs": [{"name": "TAG", "datatype": "INT32", "shape": [1, 1], "data": [1]}]})
# Of names that begin with nv_.
_NOT_IN_2_51 = {"nv_inference_first_response_histogram_ms", "nv_model_load_duration_secs"}


def status(side: Side, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Any:
    connection = http.client.HTTPConnection(side.http, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        return response.status, json.loads(answer)["error"] if response.status == 403 else ""
    finally:
        connection.close()


def test_restricted_http(guarded_pair: Pair) -> None:
    admin = (403, "This API is restricted, expecting header 'admin-key'")
    infer = (403, "This API is restricted, expecting header 'infer-key'")
    for method, path, headers, expected in (
        ("POST", "/v2/repository/index", {}, admin),
        ("GET", "/v2/repository/index", {}, admin),
        ("POST", "/v2/repository/index", {"admin-key": "secret"}, admin),
        ("POST", "/v2/repository/index", {"Admin-Key": "se=cret"}, (200, "")),
        ("POST", "/v2/repository/models/plain/load", {}, admin),
        ("GET", "/v2/logging", {}, admin),
        ("GET", "/v2/trace/setting", {}, (200, "")),
        ("POST", "/v2/models/plain/infer", {}, infer),
        ("POST", "/v2/models/plain/generate", {}, infer),
        ("POST", "/v2/models/plain/generate_stream", {"infer-key": ""}, infer),
        ("POST", "/v2/models/nowhere/infer", {}, infer),
        ("GET", "/v2/models/plain/infer", {}, infer),
        ("POST", "/v2/models/plain/infer", {"infer-key": "value"}, (200, "")),
        ("GET", "/v2/health/live", {}, (200, "")),
        ("GET", "/v2/models/plain/config", {}, (200, "")),
        ("GET", "/v2/models/stats", {}, (200, "")),
    ):
        body = None if method == "GET" else REQUEST if path.endswith("/infer") else "{}"
        what = f"{method} {path} {json.dumps(headers)}"
        guarded_pair.agree(
            RESTRICTED, what, partial(status, method=method, path=path, headers=headers, body=body), expected
        )


def test_restricted_grpc(guarded_pair: Pair) -> None:
    def code(side: Side, method: str, metadata: list[tuple[str, str]]) -> tuple[str, str]:
        with grpc.insecure_channel(side.grpc) as channel:
            try:
                channel.unary_unary(method)(b"", metadata=metadata, timeout=60)
            except grpc.RpcError as error:
                restricted = error.code() == grpc.StatusCode.UNAVAILABLE
                return error.code().name, error.details() if restricted else ""
            return "OK", ""

    prefix = "triton-grpc-protocol-"
    infer = ("UNAVAILABLE", f"This protocol is restricted, expecting header '{prefix}infer-key'")
    admin = ("UNAVAILABLE", f"This protocol is restricted, expecting header '{prefix}admin-key'")
    for method, metadata, expected in (
        (f"{_SERVICE}/ServerLive", [], infer),
        (f"{_SERVICE}/ModelReady", [], infer),
        ("/grpc.health.v1.Health/Check", [], infer),
        ("/grpc.health.v1.Health/Check", [("infer-key", "value")], infer),
        ("/grpc.health.v1.Health/Check", [(f"{prefix}infer-key", "value")], ("OK", "")),
        (f"{_SERVICE}/ModelInfer", [], infer),
        (f"{_SERVICE}/ModelInfer", [(f"{prefix}infer-key", "Value")], infer),
        (f"{_SERVICE}/ModelInfer", [(f"{prefix}infer-key", "value")], ("NOT_FOUND", "")),
        (f"{_SERVICE}/RepositoryIndex", [], admin),
        (f"{_SERVICE}/RepositoryIndex", [(f"{prefix}admin-key", "secret")], ("OK", "")),
        (f"{_SERVICE}/RepositoryModelLoad", [], admin),
        (f"{_SERVICE}/LogSettings", [], admin),
        (f"{_SERVICE}/TraceSetting", [], ("OK", "")),
        (f"{_SERVICE}/ServerMetadata", [], ("OK", "")),
        (f"{_SERVICE}/ModelStatistics", [], ("OK", "")),
    ):
        what = f"gRPC {method} {metadata}"
        guarded_pair.agree(RESTRICTED, what, partial(code, method=method, metadata=metadata), expected)


_PER_MODEL_OF_THE_CACHE = re.compile("nv_cache_.*_per_model")


def families(side: Side) -> dict[str, tuple[str, str, frozenset[tuple[str, ...]]]]:
    """Of each family of Triton's: its type and words, and the names of samples with those of their labels."""
    with urllib.request.urlopen(f"http://{side.metrics}/metrics", timeout=60) as answer:
        text = answer.read().decode().replace(" Nan\n", " NaN\n")
    return {
        family.name: (
            family.type,
            family.documentation,
            frozenset(
                (sample.name, *sorted(sample.labels), *_models_of(sample)) for sample in family.samples
            ),
        )
        for family in text_string_to_metric_families(text)
        if family.name.startswith("nv_") and family.samples
    }


def _models_of(sample: Sample) -> tuple[str, ...]:
    """Only some have those of the cache: which ones."""
    return (sample.labels["model"],) if _PER_MODEL_OF_THE_CACHE.match(sample.name) else ()


def test_metrics_have_the_same_names_words_and_labels(guarded_pair: Pair) -> None:
    for side in (guarded_pair.naiad, guarded_pair.triton):
        assert status(side, "POST", "/v2/models/plain/infer", {"infer-key": "value"}, REQUEST)[0] == 200
    ours, theirs = families(guarded_pair.naiad), families(guarded_pair.triton)
    assert theirs.keys() - ours.keys() == set()
    assert ours.keys() - theirs.keys() - _NOT_IN_2_51 == set()
    for name in ours.keys() & theirs.keys():
        assert ours[name] == theirs[name], name
