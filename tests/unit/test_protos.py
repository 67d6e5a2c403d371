"""protos/ against the descriptors of tritonclient: the same names, numbers, types and labels."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

from naiad import protos

# In Triton 2.73; clients older than that do not have them.
NEWER_THAN_OLD_CLIENTS = {
    "inference.ModelInput.is_non_linear_format_io",
    "inference.ModelOutput.is_non_linear_format_io",
    "inference.ModelEnsembling.max_inflight_requests",
    "inference.ModelConfig.runtime",
    "inference.ModelConfig.model_metrics",
    "inference.ModelMetrics.metric_control",
    "inference.ModelMetrics.MetricControl.metric_identifier",
    "inference.ModelMetrics.MetricControl.histogram_options",
    "inference.ModelMetrics.MetricControl.MetricIdentifier.family",
    "inference.ModelMetrics.MetricControl.HistogramOptions.buckets",
    "inference.ModelStatistics.response_stats",
    "inference.ModelStatistics.ResponseStatsEntry.key",
    "inference.ModelStatistics.ResponseStatsEntry.value",
    "inference.InferResponseStatistics.compute_infer",
    "inference.InferResponseStatistics.compute_output",
    "inference.InferResponseStatistics.success",
    "inference.InferResponseStatistics.fail",
    "inference.InferResponseStatistics.empty_response",
    "inference.InferResponseStatistics.cancel",
    "grpc.health.v1.HealthListResponse.statuses",
    "grpc.health.v1.HealthListResponse.StatusesEntry.key",
    "grpc.health.v1.HealthListResponse.StatusesEntry.value",
}
METHODS_NEWER_THAN_OLD_CLIENTS = {"grpc.health.v1.Health.List"}


def fields_of(file: Any) -> dict[str, tuple[Any, ...]]:
    """Full name -> what the wire and the text format depend on, for every field and enum value of a file."""
    found: dict[str, tuple[Any, ...]] = {}

    def visit_enum(prefix: str, enum: Any) -> None:
        for value in enum.value:
            found[f"{prefix}.{enum.name}.{value.name}"] = (value.number,)

    def visit(prefix: str, message: Any) -> None:
        name = f"{prefix}.{message.name}"
        for field in message.field:
            oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
            found[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name, oneof)
        for enum in message.enum_type:
            visit_enum(name, enum)
        for nested in message.nested_type:
            visit(name, nested)

    for message in file.message_type:
        visit(file.package, message)
    for enum in file.enum_type:
        visit_enum(file.package, enum)
    return found


def methods_of(file: Any) -> dict[str, tuple[Any, ...]]:
    return {
        f"{file.package}.{service.name}.{method.name}": (
            method.input_type,
            method.output_type,
            method.client_streaming,
            method.server_streaming,
        )
        for service in file.service
        for method in service.method
    }


def ours(name: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto()
    protos.pool.FindFileByName(name).CopyToProto(file)
    return file


def theirs(module: Any) -> Any:
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("model_config.proto", model_config_pb2),
        ("grpc_service.proto", service_pb2),
        ("health.proto", health_pb2),
    ],
)
def test_every_field_and_method_is_the_clients(name: str, module: Any) -> None:
    mine, reference = fields_of(ours(name)), fields_of(theirs(module))
    assert {key: mine.get(key) for key in reference} == reference
    assert set(mine) - set(reference) <= NEWER_THAN_OLD_CLIENTS
    my_methods, their_methods = methods_of(ours(name)), methods_of(theirs(module))
    assert {key: my_methods.get(key) for key in their_methods} == their_methods
    assert set(my_methods) - set(their_methods) <= METHODS_NEWER_THAN_OLD_CLIENTS


def test_a_message_crosses_between_the_two_pools() -> None:
    request = protos.ModelInferRequest(model_name="m", id="7")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    tensor.parameters["p"].int64_param = -3
    request.raw_input_contents.append(b"\0" * 8)
    read = service_pb2.ModelInferRequest.FromString(request.SerializeToString())
    assert (read.model_name, read.inputs[0].shape[:], read.inputs[0].parameters["p"].int64_param) == (
        "m",
        [1, 2],
        -3,
    )
    assert type(read) is not type(request)


def test_service_methods_give_the_classes() -> None:
    methods = protos.service_methods(protos.INFERENCE_SERVICE)
    assert len(methods) == 20
    assert methods["ModelStreamInfer"] == (protos.ModelInferRequest, protos.ModelStreamInferResponse)
    assert set(protos.service_methods(protos.HEALTH_SERVICE)) == {"Check", "Watch", "List"}
    with pytest.raises(KeyError):
        protos.message_class("inference.NoSuch")
