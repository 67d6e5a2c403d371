"""The protobuf messages of naiad, from ``protos/`` by way of the compiled ``descriptors.binpb``.

They live in a descriptor pool of their own: ``tritonclient`` registers messages of the same names in
protobuf's default pool, and one process may hold both. Classes are made by protobuf at run time, so to a type
checker their instances are ``Any``; ``naiad.config.ModelConfig`` is the typed view of a model configuration.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"


def _load_pool() -> DescriptorPool:
    compiled = resources.files("naiad").joinpath("descriptors.binpb").read_bytes()
    loaded = descriptor_pool.DescriptorPool()
    # protoc writes a file after all that it imports, which is the order in which a pool wants them.
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        loaded.Add(file)
    return loaded


pool: DescriptorPool = _load_pool()
"""All of ``protos/``: what gRPC reflection shows."""


def message_class(full_name: str) -> Any:
    """The message class of ``full_name`` (``inference.ModelInferRequest``). KeyError when there is none."""
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))


def service_methods(full_name: str) -> dict[str, tuple[Any, Any]]:
    """Method name -> (request class, response class) of a service."""
    service = pool.FindServiceByName(full_name)
    return {
        method.name: (
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for method in service.methods
    }


ModelConfig: Any = message_class("inference.ModelConfig")
ModelInput: Any = message_class("inference.ModelInput")
ModelOutput: Any = message_class("inference.ModelOutput")
ModelInstanceGroup: Any = message_class("inference.ModelInstanceGroup")
ModelDynamicBatching: Any = message_class("inference.ModelDynamicBatching")

ServerLiveRequest: Any = message_class("inference.ServerLiveRequest")
ServerLiveResponse: Any = message_class("inference.ServerLiveResponse")
ServerReadyRequest: Any = message_class("inference.ServerReadyRequest")
ServerReadyResponse: Any = message_class("inference.ServerReadyResponse")
ModelReadyRequest: Any = message_class("inference.ModelReadyRequest")
ModelReadyResponse: Any = message_class("inference.ModelReadyResponse")
ServerMetadataRequest: Any = message_class("inference.ServerMetadataRequest")
ServerMetadataResponse: Any = message_class("inference.ServerMetadataResponse")
ModelMetadataRequest: Any = message_class("inference.ModelMetadataRequest")
ModelMetadataResponse: Any = message_class("inference.ModelMetadataResponse")
InferParameter: Any = message_class("inference.InferParameter")
InferTensorContents: Any = message_class("inference.InferTensorContents")
ModelInferRequest: Any = message_class("inference.ModelInferRequest")
ModelInferResponse: Any = message_class("inference.ModelInferResponse")
ModelStreamInferResponse: Any = message_class("inference.ModelStreamInferResponse")
ModelConfigRequest: Any = message_class("inference.ModelConfigRequest")
ModelConfigResponse: Any = message_class("inference.ModelConfigResponse")
ModelStatisticsRequest: Any = message_class("inference.ModelStatisticsRequest")
ModelStatisticsResponse: Any = message_class("inference.ModelStatisticsResponse")
ModelStatistics: Any = message_class("inference.ModelStatistics")
RepositoryIndexRequest: Any = message_class("inference.RepositoryIndexRequest")
RepositoryIndexResponse: Any = message_class("inference.RepositoryIndexResponse")
HealthCheckRequest: Any = message_class("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Any = message_class("grpc.health.v1.HealthCheckResponse")
HealthListRequest: Any = message_class("grpc.health.v1.HealthListRequest")
HealthListResponse: Any = message_class("grpc.health.v1.HealthListResponse")
