"""Histograms and summaries of models, and what their instances and processes use."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
import time
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import IDENTITY, ServerProcess, Start, infer_request, until, write_model
from .test_decoupled import REPEAT, REPEAT_MODEL
from .test_metrics import sample, scrape

BUCKETS = """
model_metrics { metric_control {
  metric_identifier { family: "nv_inference_first_response_histogram_ms" }
  histogram_options { buckets: [ 0.000001, 10000, 20000 ] }
} }
response_cache { enable: true }
"""

# Runs as long as its request is not let go.
HELD = IDENTITY.replace('"identity"', '"python"')
HELD_MODEL = """
import os
import time
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.directory = args["model_repository"]

    def execute(self, requests):
        open(self.directory + "/running", "w").close()
        while not os.path.exists(self.directory + "/released"):
            time.sleep(0.002)
        arrays = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", array)]) for array in arrays]
"""

HISTOGRAMS = (
    "naiad_request_duration_seconds",
    "naiad_queue_duration_seconds",
    "naiad_compute_duration_seconds",
    "naiad_first_response_seconds",
    "naiad_batch_size",
)
SUMMARIES = ("request", "queue", "compute_input", "compute_infer", "compute_output")
REQUESTS = 20


@pytest.fixture(scope="module")
def measured(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    path = tmp_path_factory.mktemp("measured")
    write_model(path, "identity", IDENTITY)
    write_model(path, "chosen", IDENTITY + BUCKETS)
    write_model(path, "repeat", REPEAT, REPEAT_MODEL)
    server = start_server(
        path,
        "--metrics-config=summary_latencies=true",
        "--metrics-config=histogram_latencies=true",
        "--metrics-config=summary_quantiles=0.5:0.05,0.99:0.001",
        "--cache-config=local,size=1048576",
    )
    for number in range(REQUESTS):
        for model in ("identity", "chosen"):
            request = infer_request(float(number), float(number))
            assert server.json("POST", f"/v2/models/{model}/infer", request)[0] == 200
    body = {"IN": [1, 2, 3]}
    assert server.call("POST", "/v2/models/repeat/generate_stream", json.dumps(body))[0] == 200
    return server


def buckets(text: str, name: str, model: str) -> list[tuple[float, float]]:
    return [
        (float(each.labels["le"]), each.value)
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == f"{name}_bucket" and each.labels["model"] == model
    ]


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_histograms(measured: ServerProcess, name: str) -> None:
    text = scrape(measured)
    assert f"# TYPE {name} histogram\n" in text
    of_one = buckets(text, name, "identity")
    counts = [count for _, count in of_one]
    assert counts == sorted(counts)
    assert of_one[-1] == (float("inf"), REQUESTS)
    assert sample(text, f"{name}_count", model="identity") == REQUESTS
    total = sample(text, f"{name}_sum", model="identity")
    # What lies in the buckets fits what is summed.
    bounds = [0.0, *(bound for bound, _ in of_one)]
    least = sum(low * (n - m) for low, n, m in zip(bounds, counts, [0, *counts], strict=False))
    assert least <= total


def test_batch_sizes(measured: ServerProcess) -> None:
    text = scrape(measured)
    assert buckets(text, "naiad_batch_size", "identity")[0] == (1.0, REQUESTS)
    assert sample(text, "naiad_batch_size_sum", model="identity") == REQUESTS


@pytest.mark.parametrize("which", SUMMARIES)
def test_summaries(measured: ServerProcess, which: str) -> None:
    text = scrape(measured)
    name = f"nv_inference_{which}_summary_us"
    labels = {"model": "identity", "version": "1"}
    assert sample(text, f"{name}_count", **labels) == REQUESTS
    total = sample(text, f"{name}_sum", **labels)
    middle, high = (sample(text, name, quantile=share, **labels) for share in ("0.5", "0.99"))
    assert 0 <= middle <= high * 1.1
    assert high <= total * 1.1 + 1
    assert total == pytest.approx(sample(text, f"nv_inference_{which}_duration_us", **labels), abs=REQUESTS)


def test_summaries_of_the_cache_are_of_models_that_have_one(measured: ServerProcess) -> None:
    text = scrape(measured)
    assert sample(text, "nv_cache_miss_summary_per_model_count", model="chosen") == REQUESTS
    assert 'nv_cache_miss_summary_per_model_count{model="identity"' not in text
    assert sample(text, "nv_cache_num_entries") == REQUESTS
    assert sample(text, "nv_cache_num_lookups") == REQUESTS
    assert 0 < sample(text, "nv_cache_util") < 1


def test_tritons_histogram(measured: ServerProcess) -> None:
    text = scrape(measured)
    name = "nv_inference_first_response_histogram_ms"
    assert [bound for bound, _ in buckets(text, name, "identity")] == [100, 500, 2000, 5000, float("inf")]
    assert buckets(text, name, "chosen") == [
        (0.000001, 0), (10_000, REQUESTS), (20_000, REQUESTS), (float("inf"), REQUESTS)
    ]  # fmt: skip
    # Of three responses to one request the first.
    assert sample(text, f"{name}_count", model="repeat") == 1
    assert sample(text, "naiad_first_response_seconds_count", model="repeat") == 1
    first = sample(text, "naiad_first_response_seconds_sum", model="repeat")
    assert first <= sample(text, "naiad_request_duration_seconds_sum", model="repeat")


def test_instances_and_memory(measured: ServerProcess) -> None:
    text = scrape(measured)
    busy = sample(text, "naiad_instance_busy_seconds", model="identity")
    assert 0 < busy < 10
    assert sample(text, "naiad_model_memory_bytes", model="repeat") > 1 << 20
    assert 'naiad_model_memory_bytes{model="identity"' not in text
    assert sample(text, "naiad_server_memory_bytes") > 1 << 20


def test_answers_are_counted_by_status(measured: ServerProcess) -> None:
    before = scrape(measured)
    measured.call("POST", "/v2/models/identity/infer", "{")
    measured.call("POST", "/v2/models/nowhere/infer", "{}")
    measured.call("GET", "/v2/nothing")
    measured.call("GET", "/v2/health/ready")
    after = scrape(measured)
    for group, code in (("inference", "400"), ("inference", "404"), ("unknown", "404"), ("health", "200")):
        labels = f'{{code="{code}",group="{group}"}} '
        counts = [
            re.search(rf"^naiad_http_requests{re.escape(labels)}(\d+)", each, re.M)
            for each in (before, after)
        ]
        was = int(counts[0][1]) if counts[0] else 0
        assert counts[1] is not None and int(counts[1][1]) == was + 1, labels


def test_grpc_calls_are_counted_by_status(measured: ServerProcess) -> None:
    def counts() -> dict[tuple[str, str], float]:
        return {
            (each.labels["group"], each.labels["code"]): each.value
            for family in text_string_to_metric_families(scrape(measured))
            for each in family.samples
            if each.name.removesuffix("_total") == "naiad_grpc_calls"
        }

    before = counts()
    with grpc.insecure_channel(measured.grpc) as channel:
        for method in ("ServerLive", "ModelInfer", "Nothing"):
            call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
            with contextlib.suppress(grpc.RpcError):
                call(b"", timeout=30)
    after = counts()
    for key in (("health", "OK"), ("inference", "NOT_FOUND"), ("unknown", "UNIMPLEMENTED")):
        assert after[key] == before.get(key, 0) + 1, key


def test_what_is_under_way(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "held", HELD, HELD_MODEL)
    server = start_server(tmp_path)
    model = tmp_path / "held"
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as clients:
        request = infer_request(1.0)
        first = clients.submit(server.json, "POST", "/v2/models/held/infer", request)
        until((model / "running").exists, "the model runs")
        ran = time.monotonic()
        others = [clients.submit(server.json, "POST", "/v2/models/held/infer", request) for _ in range(2)]
        until(lambda: sample(scrape(server), "naiad_in_flight_requests") == 3, "all have come")
        until(lambda: sample(scrape(server), "nv_inference_pending_request_count", model="held") == 2)
        assert sample(scrape(server), "naiad_in_flight_bytes") > 0
        released = time.monotonic()
        (model / "released").touch()
        assert {each.result()[0] for each in (first, *others)} == {200}
    text = scrape(server)
    assert sample(text, "naiad_in_flight_requests") == 0
    assert sample(text, "nv_inference_pending_request_count", model="held") == 0
    # From before the model was seen to run until after it was let go.
    busy = sample(text, "naiad_instance_busy_seconds", model="held")
    assert released - ran <= busy <= time.monotonic() - began
    # Both waited longer than that, and then ran together.
    assert sample(text, "naiad_batch_size_count", model="held") == 2
    assert sample(text, "naiad_batch_size_sum", model="held") == 3


def test_by_default_there_are_neither(server: ServerProcess) -> None:
    text = scrape(server)
    assert "summary_us" not in text
    assert "nv_inference_first_response_histogram_ms" not in text
    assert "nv_cache_util" not in text


def test_buckets_that_are_none(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "identity", IDENTITY + BUCKETS.replace("0.000001", "30000"))
    server = start_server(tmp_path, expect_ready=False)
    assert server.wait() == 1
    assert "the buckets of a histogram must be ascending and finite" in server.log
