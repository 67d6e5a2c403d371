"""The model that is measured: what it takes, and what the server says of its own time."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any

from google.protobuf import json_format

from naiad import protos
from naiad.config import ModelConfig, from_dict
from naiad.errors import InvalidArgument, Unavailable
from naiad.loadgen.access import Access, Tls
from naiad.loadgen.grpc_call import CallFailed, unary
from naiad.loadgen.scenario import Protocol

_TIMEOUT_S = 30.0
_PLAIN = Access()
TLS_SCHEMES = ("https", "grpcs")
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

    def __init__(self, host: str, port: int, model: str, version: str, access: Access = _PLAIN) -> None:
        self.host = host
        self.port = port
        self.model = model
        self.version = version
        self.access = access

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @abstractmethod
    def register(self, region: str, key: str, size_bytes: int) -> None:
        """Shared memory of this machine, by the name of its POSIX object."""

    @abstractmethod
    def unregister(self, region: str) -> None:
        """The server lets go of it."""

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
        return ModelConfig(from_dict(json.loads(self._ask("GET", f"{self._model_path()}/config"))))

    def register(self, region: str, key: str, size_bytes: int) -> None:
        """Shared memory of this machine, by the name of its POSIX object."""
        body = json.dumps({"key": key, "offset": 0, "byte_size": size_bytes}).encode()
        self._ask("POST", f"/v2/systemsharedmemory/region/{region}/register", body)

    def unregister(self, region: str) -> None:
        """The server lets go of it."""
        self._ask("POST", f"/v2/systemsharedmemory/region/{region}/unregister")

    def _statistics(self) -> dict[str, Any]:
        tree = json.loads(self._ask("GET", f"{self._model_path()}/stats"))
        found: dict[str, Any] = tree["model_stats"][0]
        return found

    def _model_path(self) -> str:
        version = f"/versions/{self.version}" if self.version else ""
        return f"/v2/models/{urllib.parse.quote(self.model)}{version}"

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        context = self.access.context("http/1.1")
        connection = (
            http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
            if context is None
            else http.client.HTTPSConnection(self.host, self.port, timeout=_TIMEOUT_S, context=context)
        )
        try:
            connection.putrequest(method, path)
            for name, value in (*self.access.headers, ("Content-Length", str(len(body)))):
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            answer = response.read()
        except ssl.SSLCertVerificationError as error:
            raise _not_trusted(self.address, error) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no HTTP server answers at {self.address}: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise InvalidArgument(
                f"the server answers {response.status}: {answer[:300].decode(errors='replace')}"
            )
        return answer


class GrpcTarget(Target):
    """Over gRPC."""

    def config(self) -> ModelConfig:
        """The model's."""
        return ModelConfig(self._ask("ModelConfig", name=self.model, version=self.version).config)

    def register(self, region: str, key: str, size_bytes: int) -> None:
        """Shared memory of this machine, by the name of its POSIX object."""
        self._ask("SystemSharedMemoryRegister", name=region, key=key, offset=0, byte_size=size_bytes)

    def unregister(self, region: str) -> None:
        """The server lets go of it."""
        self._ask("SystemSharedMemoryUnregister", name=region)

    def _statistics(self) -> dict[str, Any]:
        answer = self._ask("ModelStatistics", name=self.model, version=self.version)
        tree: dict[str, Any] = json_format.MessageToDict(
            answer.model_stats[0], preserving_proto_field_name=True, descriptor_pool=protos.pool
        )
        return tree

    def _ask(self, method: str, **fields: Any) -> Any:
        request, response = protos.service_methods(protos.INFERENCE_SERVICE)[method]
        path = f"/{protos.INFERENCE_SERVICE}/{method}"
        message = request(**fields).SerializeToString()
        try:
            return response.FromString(unary(self.host, self.port, self.access, path, message, _TIMEOUT_S))
        except ssl.SSLCertVerificationError as error:
            raise _not_trusted(self.address, error) from None
        except OSError as error:
            raise Unavailable(f"no gRPC server answers at {self.address}: {error}") from None
        except CallFailed as error:
            raise InvalidArgument(f"the server answers {error}") from None


def target_of(url: str, protocol: Protocol, model: str, version: str, access: Access = _PLAIN) -> Target:
    """``url``: host, ``host:port``, or with ``http://`` in front; ``https://`` and ``grpcs://`` have TLS, as
    ``access`` says or else as the system does. Raises InvalidArgument.
    """
    text = url if "://" in url else f"//{url}"
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"'{url}' is no address of a server: {error}") from None
    if parts.scheme not in ("", "http", "grpc", *TLS_SCHEMES) or not host or parts.path.strip("/"):
        raise InvalidArgument(f"'{url}' should be HOST:PORT, or with TLS https://HOST:PORT")
    if parts.scheme in TLS_SCHEMES:
        access = replace(access, tls=access.tls or Tls())
        access.context("h2")
    else:
        access = replace(access, tls=None)
    kind = HttpTarget if protocol == "http" else GrpcTarget
    return kind(host, port or _DEFAULT_PORTS[protocol], model, version, access)


def _not_trusted(address: str, error: ssl.SSLCertVerificationError) -> InvalidArgument:
    return InvalidArgument(
        f"the certificate of {address} is not trusted ({error.verify_message}): name its authority by "
        "--ssl-ca-file, or do not check it with --ssl-no-verify"
    )
