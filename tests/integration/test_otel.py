"""Traces that are exported to an OpenTelemetry collector: one that lives in the test."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .conftest import ServerProcess, Start, write_model

TELLING = """
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "CONTEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "isolation" value { string_value: "@HOW@" } }
"""

# Answers with its place in the trace.
TELLING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            context = np.array([[request.trace().get_context() or ""]], dtype=object)
            outputs = [request.inputs()[0].as_numpy(), context]
            tensors = [pb_utils.Tensor(name, each) for name, each in zip(("Y", "CONTEXT"), outputs)]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
"""

WHOLE = """
platform: "ensemble"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "CONTEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
ensemble_scheduling { step [ { model_name: "process" model_version: -1
  input_map { key: "X" value: "X" } output_map { key: "CONTEXT" value: "CONTEXT" } } ] }
"""

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=value"}
REQUEST = {"id": "r", "inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.came = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                collector.came.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def spans(self) -> dict[str, list[Span]]:
        """By name, in the order in which they began."""
        found: dict[str, list[Span]] = {}
        every = [span for request in self.requests for resource in request.resource_spans
                 for scope in resource.scope_spans for span in scope.spans]  # fmt: skip
        for span in sorted(every, key=lambda each: each.start_time_unix_nano):
            found.setdefault(span.name, []).append(span)
        return found

    def resource(self) -> dict[str, str]:
        resource = self.requests[0].resource_spans[0].resource
        return {each.key: each.value.string_value for each in resource.attributes}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported")
    for how in ("process", "thread"):
        write_model(path, how, TELLING.replace("@HOW@", how), TELLING_MODEL)
    write_model(path, "whole", WHOLE)
    return path


def serve(start: Start, models: Path, collector: Collector, *settings: str) -> ServerProcess:
    given = ("mode=opentelemetry", f"opentelemetry,url={collector.url}", "level=TIMESTAMPS", *settings)
    return start(models, *(f"--trace-config={each}" for each in given))


def ask(server: ServerProcess, model: str, headers: dict[str, str] | None = None) -> str:
    """The context that the model saw."""
    body = json.dumps(REQUEST)
    status, _, answer = server.call("POST", f"/v2/models/{model}/infer", body, headers)
    assert status == 200, answer
    outputs = {each["name"]: each["data"] for each in json.loads(answer)["outputs"]}
    return str(outputs["CONTEXT"][0])


def stop(server: ServerProcess) -> None:
    server.signal()
    assert server.wait() == 0, server.log


def events(span: Span) -> list[str]:
    return [event.name for event in span.events]


def test_the_spans_of_an_ensemble(start_server: Start, models: Path, collector: Collector) -> None:
    server = serve(start_server, models, collector, "rate=1", "opentelemetry,resource=team=blue",
                   "opentelemetry,bsp_schedule_delay=50")  # fmt: skip
    context = ask(server, "whole")
    assert collector.came.wait(30)  # before the server ends
    stop(server)
    spans = collector.spans()
    (root,), (whole,), (step,), (compute,) = (
        spans[name] for name in ("InferRequest", "whole", "process", "compute")
    )
    assert len(spans) == 4 and len({span.trace_id for span in (root, whole, step, compute)}) == 1
    assert root.parent_span_id == b"" and root.kind == Span.SPAN_KIND_SERVER
    assert whole.parent_span_id == root.span_id
    assert step.parent_span_id == whole.span_id
    assert compute.parent_span_id == step.span_id
    assert f'"00-{step.trace_id.hex()}-{step.span_id.hex()}-01"' in context
    assert events(root) == [
        "HTTP_RECV_START",
        "HTTP_RECV_END",
        "INFER_RESPONSE_COMPLETE",
        "HTTP_SEND_START",
        "HTTP_SEND_END",
    ]
    assert events(step) == ["REQUEST_START", "QUEUE_START", "REQUEST_END"]
    assert events(compute) == ["COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END"]
    assert root.start_time_unix_nano <= whole.start_time_unix_nano <= compute.end_time_unix_nano
    assert compute.end_time_unix_nano <= root.end_time_unix_nano
    attributes = {each.key: each.value for each in step.attributes}
    assert attributes["triton.model_name"].string_value == "process"
    assert attributes["triton.model_version"].int_value == 1
    assert attributes["triton.request_id"].string_value == "r"
    assert attributes["triton.trace_parent_id"].int_value == 1
    resource = collector.resource()
    assert (resource["service.name"], resource["team"]) == ("triton-inference-server", "blue")


def test_with_a_rate_of_0_those_that_clients_trace(
    start_server: Start, models: Path, collector: Collector
) -> None:
    server = serve(start_server, models, collector, "rate=0")
    assert ask(server, "thread") == ""
    assert ask(server, "thread", {"traceparent": "00-0-0-01"}) == ""
    over_http = ask(server, "thread", HEADERS)
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        tensor = tritonclient.grpc.InferInput("X", [1, 1], "FP32")
        tensor.set_data_from_numpy(np.ones((1, 1), np.float32))
        client.infer("process", [tensor], headers=HEADERS)
    stop(server)
    spans = collector.spans()
    assert set(spans) == {"InferRequest", "thread", "process", "compute"}
    for root in spans["InferRequest"]:
        assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
        assert root.trace_state == "vendor=value"
    assert "GRPC_WAITREAD_END" in events(spans["InferRequest"][1])
    (span,) = spans["thread"]
    assert span.span_id.hex() in over_http and TRACE in over_http and "vendor=value" in over_http


def test_settings_can_change(start_server: Start, models: Path, collector: Collector) -> None:
    server = serve(start_server, models, collector, "rate=1")
    status, shown = server.json("POST", "/v2/trace/setting", {"trace_count": "1"})
    assert status == 200 and isinstance(shown, dict)
    assert (shown["trace_mode"], shown["url"], shown["trace_count"]) == ("opentelemetry", collector.url, "1")
    assert server.json("POST", "/v2/trace/setting", {"log_frequency": "1"})[0] == 501
    assert ask(server, "thread") != "" and ask(server, "thread") == ""
    stop(server)
    assert len(collector.spans()["thread"]) == 1


def test_a_collector_that_is_not_there_holds_up_nothing(start_server: Start, models: Path) -> None:
    server = start_server(
        models,
        "--trace-config=mode=opentelemetry",
        "--trace-config=opentelemetry,url=http://127.0.0.1:9/v1/traces",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1",
        "--trace-config=opentelemetry,bsp_schedule_delay=50",
    )
    for _ in range(20):
        assert ask(server, "thread") != ""
    stop(server)
