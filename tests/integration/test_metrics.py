"""The metrics port, as Prometheus reads it."""

from __future__ import annotations

import http.client
import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from .conftest import ServerProcess, infer_request

NAMES = {
    "nv_inference_request_success": "counter",
    "nv_inference_request_failure": "counter",
    "nv_inference_count": "counter",
    "nv_inference_exec_count": "counter",
    "nv_inference_request_duration_us": "counter",
    "nv_inference_queue_duration_us": "counter",
    "nv_inference_compute_input_duration_us": "counter",
    "nv_inference_compute_infer_duration_us": "counter",
    "nv_inference_compute_output_duration_us": "counter",
    "nv_inference_pending_request_count": "gauge",
    "nv_pinned_memory_pool_total_bytes": "gauge",
    "nv_pinned_memory_pool_used_bytes": "gauge",
    "nv_cpu_utilization": "gauge",
    "nv_cpu_memory_total_bytes": "gauge",
    "nv_cpu_memory_used_bytes": "gauge",
    "naiad_open_connections": "gauge",
    "naiad_in_flight_requests": "gauge",
    "naiad_in_flight_bytes": "gauge",
    "naiad_accepted_connections": "counter",
    "naiad_refused_connections": "counter",
    "naiad_failed_handshakes": "counter",
}


def scrape(server: ServerProcess) -> str:
    connection = http.client.HTTPConnection(server.metrics, timeout=30)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
        return response.read().decode()
    finally:
        connection.close()


def sample(text: str, name: str, **labels: str) -> float:
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        # The parser adds OpenMetrics' suffix to the samples of counters.
        if sample.name.removesuffix("_total") == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_every_name_has_its_lines(server: ServerProcess, name: str, kind: str) -> None:
    text = scrape(server)
    assert f"# TYPE {name} {kind}\n" in text
    assert f"# HELP {name} " in text


def test_counters_follow_requests_and_carry_tags(server: ServerProcess) -> None:
    labels = {"model": "identity", "version": "1", "team": 'a"b'}
    before = scrape(server)
    for _ in range(4):
        assert server.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200
    after = scrape(server)
    for name in ("nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count"):
        assert sample(after, name, **labels) == sample(before, name, **labels) + 4
    name = "nv_inference_request_duration_us"
    assert sample(after, name, **labels) > sample(before, name, **labels)
    name = "nv_inference_request_failure"
    for reason in ("OTHER", "BACKEND", "REJECTED"):
        assert sample(after, name, reason=reason, **labels) == sample(before, name, reason=reason, **labels)
    assert sample(after, name, reason="CANCELED", **labels) >= 0
    assert sample(after, "nv_inference_pending_request_count", **labels) == 0


def test_the_machine(server: ServerProcess) -> None:
    text = scrape(server)
    assert 0 <= sample(text, "nv_cpu_utilization") <= 1
    assert 0 < sample(text, "nv_cpu_memory_used_bytes") < sample(text, "nv_cpu_memory_total_bytes")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("application/openmetrics-text;version=9", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=x;;=", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_that_is_asked_for(server: ServerProcess, accept: str, kind: str) -> None:
    connection = http.client.HTTPConnection(server.metrics, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert (response.status, response.getheader("Content-Type")) == (200, kind)
    if text.endswith("# EOF\n"):
        # It refuses what the specification does not allow.
        names = {family.name for family in openmetrics_families(text)}
    else:
        names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert text.endswith("# EOF\n") == kind.startswith("application")
    assert names > set(NAMES)
