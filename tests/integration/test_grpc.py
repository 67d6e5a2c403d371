"""gRPC, as serialized messages on a channel."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from naiad import protos

from .conftest import ServerProcess

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(channel: grpc.Channel) -> Call:
    """Calls a method with the fields of its request; gives its response."""
    kinds = protos.service_methods(protos.INFERENCE_SERVICE)

    def call(method: str, **fields: Any) -> Any:
        request, response = kinds[method]
        stub = channel.unary_unary(SERVICE + method)
        return response.FromString(stub(request(**fields).SerializeToString(), timeout=30))

    return call


def infer_request(values: list[float], *, model: str = "identity", request_id: str = "") -> Any:
    request = protos.ModelInferRequest(model_name=model, id=request_id)
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, len(values)])
    request.raw_input_contents.append(struct.pack(f"<{len(values)}f", *values))
    return request


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_health_and_metadata_agree_with_http(server: ServerProcess, call: Call) -> None:
    assert call("ServerLive").live and call("ServerReady").ready
    assert (
        call("ModelReady", name="identity").ready and call("ModelReady", name="identity", version="1").ready
    )
    assert (
        not call("ModelReady", name="none").ready
        and not call("ModelReady", name="identity", version="9").ready
    )
    metadata = call("ServerMetadata")
    _, over_http = server.json("GET", "/v2")
    assert {
        "name": metadata.name,
        "version": metadata.version,
        "extensions": list(metadata.extensions),
    } == over_http
    model = call("ModelMetadata", name="identity")
    assert (model.name, list(model.versions), model.platform) == ("identity", ["1"], "identity")
    assert (model.inputs[0].name, list(model.inputs[0].shape)) == ("INPUT0", [-1, -1])
    config = call("ModelConfig", name="identity").config
    assert (config.name, config.max_batch_size, config.metric_tags["team"]) == ("identity", 8, 'a"b')
    assert [(row.name, row.state) for row in call("RepositoryIndex").models] == [
        ("identity", "READY"),
        ("strings", "READY"),
    ]


def test_statistics(call: Call, channel: grpc.Channel) -> None:
    before = call("ModelStatistics", name="identity").model_stats[0]
    channel.unary_unary(SERVICE + "ModelInfer")(infer_request([1.0]).SerializeToString())
    (after,) = call("ModelStatistics", name="identity", version="1").model_stats
    assert after.inference_count == before.inference_count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.batch_stats[0].batch_size == 1 and after.last_inference > 0
    assert len(call("ModelStatistics").model_stats) == 2


@pytest.mark.parametrize(
    ("method", "fields", "code", "words"),
    [
        ("ModelMetadata", {"name": "none"}, "NOT_FOUND", "'none' is not found"),
        ("ModelConfig", {"name": "none"}, "NOT_FOUND", "'none' is not found"),
        ("ModelReady", {"name": "identity", "version": "x"}, "INVALID_ARGUMENT", "version"),
        ("ModelStatistics", {"name": "none"}, "INVALID_ARGUMENT", "'none' is not available"),
        ("RepositoryIndex", {"repository_name": "r"}, "UNIMPLEMENTED", "'repository_name'"),
        ("RepositoryModelLoad", {"model_name": "identity"}, "UNAVAILABLE", "explicit model load"),
        ("SystemSharedMemoryStatus", {}, "UNIMPLEMENTED", "shared memory"),
        ("CudaSharedMemoryRegister", {"name": "r"}, "UNIMPLEMENTED", "shared memory"),
        ("TraceSetting", {"model_name": "none"}, "INVALID_ARGUMENT", "Request for unknown model : none"),
    ],
)
def test_refusals(call: Call, method: str, fields: dict[str, Any], code: str, words: str) -> None:
    got, details = refusal(lambda: call(method, **fields))
    assert got.name == code and words in details


def test_infer(channel: grpc.Channel) -> None:
    stub = channel.unary_unary(SERVICE + "ModelInfer")
    answer = protos.ModelInferResponse.FromString(
        stub(infer_request([1.0, 2.0], request_id="7").SerializeToString())
    )
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "identity", "1")
    assert (answer.outputs[0].name, list(answer.outputs[0].shape)) == ("OUTPUT0", [1, 2])
    assert answer.raw_output_contents[0] == struct.pack("<2f", 1, 2)


def test_a_large_message(channel: grpc.Channel, server: ServerProcess) -> None:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    values = [1.5] * 3_000_000
    with grpc.insecure_channel(server.grpc, options=options) as wide:
        answer = wide.unary_unary(SERVICE + "ModelInfer")(
            infer_request(values).SerializeToString(), timeout=60
        )
    assert (
        protos.ModelInferResponse.FromString(answer).raw_output_contents[0]
        == struct.pack("<f", 1.5) * 3_000_000
    )


@pytest.mark.parametrize(
    "message", [b"\xff\xff", b"\x0a\xff\x01", b"", infer_request([1.0]).SerializeToString()[:-1]]
)
def test_bad_messages_leave_the_channel_usable(channel: grpc.Channel, message: bytes) -> None:
    stub = channel.unary_unary(SERVICE + "ModelInfer")
    code, details = refusal(lambda: stub(message))
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND) and details
    assert stub(infer_request([1.0]).SerializeToString())


def test_a_control_message_that_is_none(channel: grpc.Channel) -> None:
    code, details = refusal(lambda: channel.unary_unary(SERVICE + "ModelReady")(b"\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT and "ModelReady" in details


def test_unknown_methods(channel: grpc.Channel) -> None:
    for name in (SERVICE + "Nope", "/other.Service/Method"):
        stub = channel.unary_unary(name)
        assert refusal(lambda stub=stub: stub(b""))[0] is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[misc]


def stream(channel: grpc.Channel, messages: list[bytes], **metadata: str) -> Iterator[Any]:
    stub = channel.stream_stream(SERVICE + "ModelStreamInfer")
    for answer in stub(iter(messages), metadata=tuple(metadata.items()), timeout=30):
        yield protos.ModelStreamInferResponse.FromString(answer)


def test_a_stream_answers_in_order_and_survives_errors(channel: grpc.Channel) -> None:
    requests = [infer_request([float(i)], request_id=str(i)) for i in range(600)]
    requests[5].model_name = "none"
    requests[6].raw_input_contents[0] = b"123"
    answers = list(stream(channel, [request.SerializeToString() for request in requests] + [b"\xff"]))
    assert [answer.infer_response.id for answer in answers] == [*(str(i) for i in range(600)), ""]
    failed = {5, 6, 600}
    for i, answer in enumerate(answers):
        assert bool(answer.error_message) == (i in failed)
        if i not in failed:
            assert answer.infer_response.raw_output_contents[0] == struct.pack("<f", i)
            assert answer.infer_response.parameters["triton_final_response"].bool_param
    assert "'none' is not found" in answers[5].error_message


def test_a_strict_stream_ends_with_the_status(channel: grpc.Channel) -> None:
    requests = [infer_request([1.0]), infer_request([1.0], model="none"), infer_request([1.0])]
    answers = stream(channel, [r.SerializeToString() for r in requests], triton_grpc_error="true")
    assert not next(answers).error_message
    code, details = refusal(lambda: list(answers))
    assert code is grpc.StatusCode.NOT_FOUND and "'none' is not found" in details


def test_streams_and_calls_that_are_cancelled(channel: grpc.Channel, call: Call) -> None:
    def forever() -> Iterator[bytes]:
        while True:
            yield infer_request([1.0]).SerializeToString()

    for taken in range(5):
        answers = channel.stream_stream(SERVICE + "ModelStreamInfer")(forever())
        for _ in range(taken):
            next(answers)
        answers.cancel()
    for _ in range(50):
        channel.unary_unary(SERVICE + "ModelInfer").future(infer_request([1.0]).SerializeToString()).cancel()
    assert call("ServerReady").ready
    assert channel.unary_unary(SERVICE + "ModelInfer")(infer_request([1.0]).SerializeToString())


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "anything"])
def test_health_service(channel: grpc.Channel, service: str) -> None:
    request = protos.HealthCheckRequest(service=service).SerializeToString()
    answer = channel.unary_unary("/grpc.health.v1.Health/Check")(request)
    assert protos.HealthCheckResponse.FromString(answer).status == 1
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(request)
    assert protos.HealthCheckResponse.FromString(next(watch)).status == 1
    watch.cancel()


def test_reflection_shows_the_services(channel: grpc.Channel) -> None:
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    database = ProtoReflectionDescriptorDatabase(channel)
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(database.get_services())
    file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    assert "ModelInfer" in [method.name for method in file.service[0].method]
