"""A server process of its own, on free ports, with a few small models."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from .certificates import Authority, Identity

IDENTITY = """
backend: "identity"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
metric_tags { key: "team" value: "a\\"b" }
"""

STRINGS = """
backend: "identity"
input [ { name: "INPUT0" data_type: TYPE_STRING dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_STRING dims: [ -1 ] } ]
"""

GATED = """
backend: "python"
max_batch_size: 0
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "gate" value { string_value: "@GATE@" } }
"""

# Every request waits until the gate is open; the first one says that it has come.
GATED_MODEL = """
import json
import os
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.gate = json.loads(args["model_config"])["parameters"]["gate"]["string_value"]

    def execute(self, requests):
        open(self.gate + ".entered", "w").close()
        while not os.path.exists(self.gate):
            time.sleep(0.005)
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy())]
            )
            for request in requests
        ]
"""

LAST_LINES_IN_S = 60
"""Of a server that was killed: its processes end when they find that out."""
STARTED = re.compile(r"Started (HTTPService|GRPCInferenceService|Metrics Service) at [^ ]*:(\d+)")


def write_model(repository: Path, name: str, config: str, model: str | None = None) -> None:
    """One model directory with version 1."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    if model is not None:
        (version / "model.py").write_text(model)


@dataclass
class ServerProcess:
    """``naiad serve`` as a child."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    started: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> threading.Thread:
        """Reads the log until nobody can write to it any more, on a thread of its own. Processes of the
        server's may be the last.
        """
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        return reader

    def _read(self) -> None:
        assert self.process.stderr is not None
        # Closed by who reads: from elsewhere that could come in the midst of a read.
        with self.process.stderr as log:
            for line in log:
                self.lines.append(line)
                if match := STARTED.search(line):
                    self.ports[match[1]] = int(match[2])
                    if len(self.ports) == 3:
                        self.started.set()
        self.started.set()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.ports['HTTPService']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ports['GRPCInferenceService']}"

    @property
    def metrics(self) -> str:
        return f"127.0.0.1:{self.ports['Metrics Service']}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.http, timeout=30)

    def call(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers in lower case, body."""
        connection = self.connect()
        try:
            return exchange(connection, method, path, body, headers)
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """One request with JSON both ways."""
        status, _, answer = self.call(method, path, None if body is None else json.dumps(body))
        return status, json.loads(answer) if answer else None

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(timeout=60)


def until(true: Callable[[], object], what: str = "", *, patience_s: float = 30) -> None:
    """Blocks until something is true; fails when that takes too long."""
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, what or "it did not come true"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request on an open connection."""
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def infer_request(*values: float, model_id: str | None = None) -> dict[str, object]:
    """A JSON request for one of the FP32 identity models."""
    request: dict[str, object] = {
        "inputs": [{"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}]
    }
    return request if model_id is None else {"id": model_id, **request}


Start = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def start_server() -> Iterator[Start]:
    """Starts ``naiad serve`` with further flags; whatever still runs at the end is ended."""
    running: list[tuple[ServerProcess, threading.Thread]] = []

    def start(
        repository: Path,
        *flags: str,
        expect_ready: bool = True,
        patience_s: float = 60,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> ServerProcess:
        command = [
            sys.executable, "-m", "naiad", "serve", f"--model-repository={repository}",
            "--http-port=0", "--grpc-port=0", "--metrics-port=0", "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1", *flags,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200", **environment}
        )
        server = ServerProcess(process)
        running.append((server, server.follow()))
        assert server.started.wait(patience_s), server.log
        if expect_ready:
            assert len(server.ports) == 3, server.log
        return server

    yield start
    for server, reader in running:
        server.process.kill()
        server.process.wait()
        reader.join(LAST_LINES_IN_S)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Identity models of numbers and of strings."""
    path = tmp_path_factory.mktemp("models")
    write_model(path, "identity", IDENTITY)
    write_model(path, "strings", STRINGS)
    return path


@pytest.fixture(scope="session")
def server(start_server: Start, repository: Path) -> ServerProcess:
    """One server for all tests that do not end it."""
    return start_server(repository, "--http-max-input-size=1048576")


@dataclass(frozen=True)
class FleetServer:
    """Where the example fleet is served, and from which directory."""

    http_url: str
    grpc_url: str
    metrics_url: str
    repository: Path


@pytest.fixture(scope="session")
def fleet_server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> FleetServer:
    """The example fleet, served: the directory that NAIAD_FLEET names, or one built for these tests."""
    named = os.environ.get("NAIAD_FLEET")
    path = Path(named) if named else tmp_path_factory.mktemp("fleet")
    if not named:
        from naiad.fleet.build import build_fleet

        build_fleet(path)
    server = start_server(path)
    return FleetServer(server.http, server.grpc, server.metrics, path)


@pytest.fixture(scope="session")
def openai_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models for the OpenAI API, and one that is none of it."""
    from .openai_models import write_openai_models

    path = tmp_path_factory.mktemp("openai")
    write_openai_models(path)
    write_model(path, "numbers", IDENTITY)
    return path


@pytest.fixture(scope="session")
def openai_server(start_server: Start, openai_repository: Path) -> ServerProcess:
    """Serves them, on a port of the API's own too."""
    return start_server(openai_repository, "--openai-port=0", "--http-max-input-size=1048576")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates")).found()


@pytest.fixture(scope="module")
def client(authority: Authority) -> Identity:
    return authority.issue("client")
