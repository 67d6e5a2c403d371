"""gRPC server reflection: the services and their messages, for grpcurl and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpc_reflection.v1alpha import reflection, reflection_pb2

from naiad import protos
from naiad.errors import InvalidArgument
from naiad.grpc.call import Call, Method
from naiad.grpc.wire import parse

SERVICE = reflection.SERVICE_NAME

# The class is made at run time, so a type checker does not see it.
_REQUEST: Any = reflection_pb2.ServerReflectionRequest


class ReflectionMethods:
    """ServerReflectionInfo over the answers of grpcio-reflection, which works on message objects."""

    def __init__(self, services: Sequence[str]) -> None:
        # Any: its method takes a context of grpcio's server, and does not look at it.
        self._servicer: Any = reflection.ReflectionServicer((*services, SERVICE), protos.pool)

    def methods(self) -> dict[str, Method]:
        """Methods by name."""
        return {"ServerReflectionInfo": self._answer}

    async def _answer(self, call: Call) -> None:
        while (message := await call.read()) is not None:
            request = parse(_REQUEST, message)
            if request is None:
                raise InvalidArgument("the message is not a valid ServerReflectionInfo request")
            for answer in self._servicer.ServerReflectionInfo(iter((request,)), None):
                call.write(answer.SerializeToString())
