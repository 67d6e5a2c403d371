"""Damaged requests over the wire: as bodies, as messages, and as whole connections. The server lives on,
tells each client what is wrong, and never says that the fault is its own.

``make soak`` sends a million (NAIAD_BAD_INPUTS). Half of them are bodies of HTTP, a third messages of gRPC,
the others whole connections of either protocol.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable

import grpc
import numpy as np
import psutil
import pytest

from .conftest import ServerProcess, Start, until
from .ledger.grpc_asker import infer_message
from .ledger.http_asker import GoneError, HttpConnection, binary_request, json_request, post
from .ledger.models import write_ledger_models
from .ledger.mutation import Mutator
from .test_cuts import reading
from .test_ledger import RESTING
from .wire.frames import PREFACE, infer, settings

BAD_INPUTS = int(os.environ.get("NAIAD_BAD_INPUTS", "3000"))
SEED = int(os.environ.get("NAIAD_SEED", "20261128"))
INFER = "/v2/models/identity/infer"
# What an error must not show.
SECRET = re.compile(rb"/tmp/|/home/|/dev/|/proc/|0x[0-9a-f]{6,}|Traceback|shm_")
# The client is at fault. UNIMPLEMENTED is what it asked of a model that answers otherwise.
CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"}


@pytest.fixture(scope="module")
def served(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("damaged")
    write_ledger_models(repository)
    return start_server(repository)


def shows_nothing(error: bytes, request: bytes) -> bool:
    """But what the client has said itself."""
    return all(found.group() in request for found in SECRET.finditer(error))


def http_bodies(server: ServerProcess, count: int, draw: random.Random) -> Counter[str]:
    """Damaged bodies, of a true length, on a connection that lives as long as it is let."""
    sixteen = np.arange(16, dtype=np.int32)
    whole = [json_request("identity", 1, [1, 2, 3]), binary_request(2, sixteen, sixteen)]
    heads = [request.partition(b"\r\n\r\n") for request in whole]
    length = int(re.findall(rb"Header-Content-Length: (\d+)", whole[1])[0])
    kinds: list[tuple[str, tuple[str, ...], Mutator]] = [
        (INFER, (), Mutator([heads[0][2]], "v2_http", draw)),
        (
            "/v2/models/sums/infer",
            (f"Inference-Header-Content-Length: {length}",),
            Mutator([heads[1][2]], "v2_http", draw),
        ),
        ("/v2/models/identity/generate", (), Mutator([b'{"INPUT0":[1,2,3],"id":"7"}'], "generate", draw)),
        ("/v2/repository/index", (), Mutator([b'{"ready":true}'], "v2_http", draw)),
        ("/v2/logging", (), Mutator([b'{"log_verbose_level":0}'], "v2_http", draw)),
        (INFER, ("Content-Encoding: gzip",), Mutator([heads[0][2]], "inflate", draw)),
    ]
    weights = [8, 6, 3, 1, 1, 2]
    seen: Counter[str] = Counter()
    connection = HttpConnection(server.http)
    for _ in range(count):
        path, fields, mutator = draw.choices(kinds, weights)[0]
        body = mutator.next()
        try:
            answer = connection.ask(post(path, body, *fields))
        except GoneError as error:
            raise AssertionError(f"no answer to {body!r} at {path}: {error}") from error
        seen[f"HTTP {answer.status}"] += 1
        # 501: a coding, or a model that answers otherwise. It is what the client asked.
        assert answer.status < 500 or answer.status == 501, (path, body, answer)
        if answer.status >= 400:
            assert json.loads(answer.body)["error"], (path, body, answer)
            assert shows_nothing(answer.body, body), answer.body
    connection.close()
    return seen


def grpc_messages(server: ServerProcess, count: int, draw: random.Random) -> Counter[str]:
    """Damaged messages in calls without fault."""
    seeds = [infer_message("identity", 1, [1, 2, 3]), infer_message("identity", 97)]
    mutator = Mutator(seeds, "v2_grpc", draw)
    seen: Counter[str] = Counter()
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(count):
            message = mutator.next()
            try:
                call(message, timeout=60)
                code, text = "OK", ""
            except grpc.RpcError as error:
                code, text = error.code().name, error.details() or ""
                assert text and shows_nothing(text.encode(), message), (message, text)
            seen[f"gRPC {code}"] += 1
            assert code in CODES, (message, code, text)
    return seen


def connections(
    address: str, mutator: Mutator, count: int, bad: Callable[[bytes], bool], seen: Counter[str]
) -> None:
    """Everything that a client says is damaged, and then it says no more."""
    host, _, port = address.rpartition(":")
    for _ in range(count):
        content = mutator.next()
        said = b""
        with socket.create_connection((host, int(port)), timeout=30) as client:
            try:
                client.sendall(content)
                client.shutdown(socket.SHUT_WR)
                while got := client.recv(1 << 16):
                    said += got
            except (ConnectionError, BrokenPipeError):
                pass
        seen["connections"] += 1
        assert not bad(said), (content, said)


def says_500(said: bytes) -> bool:
    return re.search(rb"HTTP/1\.1 50[023]", said) is not None


@pytest.mark.timeout(120 if BAD_INPUTS <= 10_000 else 7200)
def test_damaged_requests_are_told_so(served: ServerProcess) -> None:
    draw = random.Random(SEED)
    process = psutil.Process(served.process.pid)
    start_s = time.monotonic()
    seen = http_bodies(served, BAD_INPUTS // 2, draw)
    seen += grpc_messages(served, BAD_INPUTS // 3, draw)
    whole = [json_request("identity", 1, [1, 2, 3]), post(INFER, b"{}", "Transfer-Encoding: chunked")]
    rest = BAD_INPUTS - sum(seen.values())
    connections(served.http, Mutator(whole, "http1", draw), rest // 2, says_500, seen)
    session = [PREFACE + settings() + infer(1) + infer(3)]
    mutator = Mutator(session, "grpc_session", draw)
    connections(served.grpc, mutator, rest - rest // 2, lambda said: False, seen)
    print(
        f"seed {SEED}: {sum(seen.values())} inputs in {time.monotonic() - start_s:.0f} s: "
        f"{dict(sorted(seen.items()))}; {process.memory_info().rss >> 20} MiB resident"
    )
    assert sum(seen.values()) == BAD_INPUTS
    assert served.process.poll() is None
    assert served.call("GET", "/v2/health/ready")[0] == 200
    assert "Traceback" not in served.log
    until(lambda: not any(reading(served, name) for name in RESTING), "all is let go of")
