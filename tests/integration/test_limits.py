"""The limits that hold without being asked for: a client that goes beyond one gets a typed refusal."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import pytest

from .conftest import ServerProcess, Start, infer_request, until

INFER = "/v2/models/identity/infer"
MIB = 1 << 20


@pytest.fixture(scope="module")
def limited(start_server: Start, repository: Path) -> ServerProcess:
    """With all defaults but the number of connections."""
    return start_server(repository, "--max-connections=50")


def raw(server: ServerProcess, request: bytes) -> int:
    """The status of the answer to bytes, 0 when the connection is closed without one."""
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(request)
            answer = connection.recv(65536)
        except ConnectionError:
            return 0
        return int(answer[9:12]) if answer else 0


def head(*fields: str, target: str = INFER) -> bytes:
    return "\r\n".join([f"POST {target} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def test_body(limited: ServerProcess) -> None:
    for path in (INFER, "/v2/models/identity/generate", "/v2/repository/index", "/v2/logging"):
        assert raw(limited, head(f"Content-Length: {64 * MIB + 1}", target=path)) in (400, 413)


def test_inflated_body(limited: ServerProcess) -> None:
    whole = json.dumps(infer_request(1.0)).encode()
    for size in (65 * MIB, 20 * MIB):  # too large; within the bound, but a thousandfold
        body = gzip.compress(whole + b" " * size)
        status, _, answer = limited.call("POST", INFER, body, {"Content-Encoding": "gzip"})
        assert status == 400, answer
    assert limited.call("POST", INFER, gzip.compress(whole), {"Content-Encoding": "gzip"})[0] == 200


def test_head(limited: ServerProcess) -> None:
    assert raw(limited, head("X: " + "a" * 8000, "Content-Length: 2") + b"{}") == 400
    assert raw(limited, head("X: " + "a" * 9000)) == 431
    assert raw(limited, head(*(f"X{number}: " + "a" * 7000 for number in range(10)))) == 431
    assert raw(limited, head(*("X: a" for _ in range(101)))) == 431


def test_json_depth(limited: ServerProcess) -> None:
    for depth, path in (
        (101, INFER),
        (100_000, INFER),
        (100_000, "/v2/logging"),
        (100_000, "/v2/repository/index"),
    ):
        status, _, answer = limited.call("POST", path, '{"a":' + "[" * depth + "]" * depth + "}")
        assert status == 400, answer


def test_chunks(limited: ServerProcess) -> None:
    for target in (INFER, "/v2/logging"):
        assert raw(limited, head("Transfer-Encoding: chunked", target=target) + b"1\r\n \r\n" * 65_537) == 400


def test_connections(limited: ServerProcess) -> None:
    host, _, port = limited.http.rpartition(":")
    opened = [socket.create_connection((host, int(port)), timeout=30) for _ in range(60)]
    answers = []
    for connection in opened:
        try:
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            answers.append(connection.recv(65536)[:12])
        except ConnectionError:
            answers.append(b"")
    for connection in opened:
        connection.close()
    # Of tests before this one, some may not have been let go of.
    assert 40 <= answers.count(b"HTTP/1.1 200") <= 50
    assert answers.count(b"") == 60 - answers.count(b"HTTP/1.1 200")


def test_the_server_lives_on(limited: ServerProcess) -> None:
    # The connections of the last test may not have been let go of yet.
    until(lambda: raw(limited, b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n") == 200)
    assert limited.json("POST", INFER, infer_request(1.0))[0] == 200
    assert limited.process.poll() is None
