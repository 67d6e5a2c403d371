"""The model that is measured: what it takes, and what the server says of its own time."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import grpc
from google.protobuf import json_format

from naiad import protos
from naiad.config import ModelConfig, from_dict
from naiad.errors import InvalidArgument, Unavailable
from naiad.loadgen.scenario import Protocol

_TIMEOUT_S = 30.0
_DEFAULT_PORTS = {"http": 8000, "grpc": 8001}


@dataclass(frozen=True)
class ServerTime:
    """Sums since the model was loaded. Times in nanoseconds."""

    requests: int = 0
    executions: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0

    def since(self, before: ServerTime) -> ServerTime:
        """What came after ``before``."""
        names = [field.name for field in fields(self)]
        return ServerTime(**{name: getattr(self, name) - getattr(before, name) for name in names})

    def plus(self, other: ServerTime) -> ServerTime:
        """Both spans together."""
        names = [field.name for field in fields(self)]
        return ServerTime(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Target(ABC):
    """A model on a server. Raises Unavailable where the server does not answer, InvalidArgument for what it
    refuses.
    """

    def __init__(self, host: str, port: int, model: str, version: str) -> None:
        self.host = host
        self.port = port
        self.model = model
        self.version = version

    @abstractmethod
    def config(self) -> ModelConfig:
        """The model's."""

    @abstractmethod
    def _statistics(self) -> dict[str, Any]:
        """One entry of the statistics, as JSON."""

    def time(self) -> ServerTime:
        """Now."""
        tree = self._statistics()
        parts = tree.get("inference_stats") or {}

        def nanoseconds(part: str) -> int:
            return int((parts.get(part) or {}).get("ns") or 0)

        return ServerTime(
            requests=int((parts.get("success") or {}).get("count") or 0),
            executions=int(tree.get("execution_count") or 0),
            queue_ns=nanoseconds("queue"),
            compute_input_ns=nanoseconds("compute_input"),
            compute_infer_ns=nanoseconds("compute_infer"),
            compute_output_ns=nanoseconds("compute_output"),
        )


class HttpTarget(Target):
    """Over HTTP."""

    def config(self) -> ModelConfig:
        """The model's."""
        return ModelConfig(from_dict(self._get("config")))

    def _statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = self._get("stats")["model_stats"][0]
        return found

    def _get(self, what: str) -> Any:
        version = f"/versions/{self.version}" if self.version else ""
        path = f"/v2/models/{urllib.parse.quote(self.model)}{version}/{what}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no HTTP server answers at {self.host}:{self.port}: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise InvalidArgument(
                f"the server answers {response.status}: {body[:300].decode(errors='replace')}"
            )
        return json.loads(body)


class GrpcTarget(Target):
    """Over gRPC."""

    def config(self) -> ModelConfig:
        """The model's."""
        return ModelConfig(self._call("ModelConfig").config)

    def _statistics(self) -> dict[str, Any]:
        answer = self._call("ModelStatistics")
        tree: dict[str, Any] = json_format.MessageToDict(
            answer.model_stats[0], preserving_proto_field_name=True, descriptor_pool=protos.pool
        )
        return tree

    def _call(self, method: str) -> Any:
        request, response = protos.service_methods(protos.INFERENCE_SERVICE)[method]
        with grpc.insecure_channel(f"{self.host}:{self.port}") as channel:
            call = channel.unary_unary(
                f"/{protos.INFERENCE_SERVICE}/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            try:
                return call(request(name=self.model, version=self.version), timeout=_TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    raise Unavailable(f"no gRPC server answers at {self.host}:{self.port}") from None
                raise InvalidArgument(f"the server answers {error.code().name}: {error.details()}") from None


def target_of(url: str, protocol: Protocol, model: str, version: str) -> Target:
    """``url``: host, ``host:port``, or with ``http://`` in front. Raises InvalidArgument."""
    text = url if "://" in url else f"//{url}"
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"'{url}' is no address of a server: {error}") from None
    if parts.scheme not in ("", "http", "grpc") or not host or parts.path.strip("/"):
        raise InvalidArgument(f"'{url}' should be HOST:PORT; TLS is not measured")
    kind = HttpTarget if protocol == "http" else GrpcTarget
    return kind(host, port or _DEFAULT_PORTS[protocol], model, version)
