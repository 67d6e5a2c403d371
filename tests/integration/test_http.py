"""HTTP, as bytes on a socket."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import zlib
from pathlib import Path

import pytest

from .conftest import ServerProcess, exchange, infer_request

INFER = "/v2/models/identity/infer"


def answer_data(body: bytes) -> list[float]:
    return json.loads(body)["outputs"][0]["data"]


def binary_request(values: list[float], *, binary_output: bool = True) -> tuple[bytes, dict[str, str]]:
    raw = struct.pack(f"<{len(values)}f", *values)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "INPUT0",
                    "shape": [1, len(values)],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
            "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": binary_output}}],
        }
    ).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def test_server(server: ServerProcess) -> None:
    status, metadata = server.json("GET", "/v2")
    assert status == 200
    assert isinstance(metadata, dict) and metadata["name"] == "triton"
    assert "binary_tensor_data" in metadata["extensions"]
    assert server.call("GET", "/v2/health/live")[0] == 200
    assert server.call("GET", "/v2/health/ready?x=1")[0] == 200


def test_model(server: ServerProcess) -> None:
    assert server.json("GET", "/v2/models/identity") == (
        200,
        {
            "name": "identity",
            "versions": ["1"],
            "platform": "identity",
            "inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [-1, -1]}],
            "outputs": [{"name": "OUTPUT0", "datatype": "FP32", "shape": [-1, -1]}],
        },
    )
    assert server.json("GET", "/v2/models/strings/versions/1")[0] == 200
    assert server.call("GET", "/v2/models/identity/ready")[0] == 200
    assert server.call("GET", "/v2/models/identity/versions/1/ready")[0] == 200
    status, config = server.json("GET", "/v2/models/identity/config")
    assert status == 200 and isinstance(config, dict) and config["max_batch_size"] == 8


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/v2/", 404, "Not Found"),
        ("GET", "/v2/models/identity/versions/x/ready", 404, "Not Found"),
        ("POST", "/v2/health/live", 405, "Method Not Allowed"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("PUT", INFER, 405, "Method Not Allowed"),
        ("GET", "/v2/models/none/ready", 400, "none"),
        ("GET", "/v2/models/identity/versions/9/ready", 400, "9"),
        ("GET", "/v2/models/none", 404, "Request for unknown model: 'none' is not found"),
        ("GET", "/v2/models/identity/versions/9", 404, "'identity' version 9 is not found"),
        ("GET", "/v2/models/none/config", 404, "'none' is not found"),
        ("GET", "/v2/models/none/stats", 400, "requested model 'none' is not available"),
        ("GET", "/v2/models/identity/versions/9/stats", 400, "version is not available for model 'identity'"),
        ("POST", "/v2/repository/other/index", 501, "'repository_name' specification is not supported"),
        ("POST", "/v2/repository/models/identity/load", 503, "explicit model load / unload is not allowed"),
        ("PUT", "/v2/trace/setting", 405, "Method Not Allowed"),
        ("GET", "/v2/models/none/trace/setting", 400, "Request for unknown model : none"),
        ("PUT", "/v2/logging", 405, "Method Not Allowed"),
        ("GET", "/v2/systemsharedmemory/status", 501, "shared memory"),
        ("POST", "/v2/cudasharedmemory/region/r/register", 501, "shared memory"),
    ],
)
def test_refusals(server: ServerProcess, method: str, path: str, status: int, words: str) -> None:
    got, headers, body = server.call(method, path)
    assert got == status, body
    assert words in json.loads(body)["error"]
    assert headers["content-type"].startswith("application/json")


def test_index(server: ServerProcess) -> None:
    rows = [{"name": name, "version": "1", "state": "READY"} for name in ("identity", "strings")]
    assert server.json("POST", "/v2/repository/index") == (200, rows)
    assert server.json("POST", "/v2/repository/index", {"ready": True}) == (200, rows)
    for body in ("{", "[]", '{"ready": 1}', "[" * 100_000):
        assert server.call("POST", "/v2/repository/index", body)[0] == 400


def test_statistics_count_what_was_done(server: ServerProcess) -> None:
    def statistics() -> dict[str, object]:
        status, answer = server.json("GET", "/v2/models/strings/stats")
        assert status == 200 and isinstance(answer, dict)
        (model,) = answer["model_stats"]
        return dict(model)

    before = statistics()
    request = {"inputs": [{"name": "INPUT0", "shape": [2], "datatype": "BYTES", "data": ["a", "é"]}]}
    for _ in range(3):
        assert server.json("POST", "/v2/models/strings/infer", request)[0] == 200
    after = statistics()
    assert after["inference_count"] == before["inference_count"] + 3  # type: ignore[operator]
    assert {
        "name",
        "version",
        "last_inference",
        "inference_stats",
        "response_stats",
        "batch_stats",
        "memory_usage",
    } <= set(after)
    durations = "success fail queue compute_input compute_infer compute_output cache_hit cache_miss"
    assert set(after["inference_stats"]) == set(durations.split())  # type: ignore[call-overload]
    status, everything = server.json("GET", "/v2/models/stats")
    assert isinstance(everything, dict)
    assert [model["name"] for model in everything["model_stats"]] == ["identity", "strings"]


def test_infer_as_json(server: ServerProcess) -> None:
    status, answer = server.json("POST", INFER, infer_request(1.0, 2.5, model_id="42"))
    assert status == 200
    assert answer == {
        "id": "42",
        "model_name": "identity",
        "model_version": "1",
        "outputs": [{"name": "OUTPUT0", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.5]}],
    }


def test_infer_as_bytes(server: ServerProcess) -> None:
    body, headers = binary_request([1.0, 2.0, 3.0])
    status, answered, answer = server.call("POST", INFER, body, headers)
    assert status == 200 and answered["content-type"] == "application/octet-stream"
    size = int(answered["inference-header-content-length"])
    assert json.loads(answer[:size])["outputs"][0]["parameters"] == {"binary_data_size": 12}
    assert answer[size:] == struct.pack("<3f", 1, 2, 3)


def test_bytes_in_json_out(server: ServerProcess) -> None:
    body, headers = binary_request([1.0, 2.0], binary_output=False)
    status, answered, answer = server.call("POST", INFER, body, headers)
    assert status == 200 and answered["content-type"] == "application/json"
    assert "inference-header-content-length" not in answered
    assert answer_data(answer) == [1.0, 2.0]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("count", [3, 20_000])
def test_codings_both_ways(server: ServerProcess, coding: str, count: int) -> None:
    values = [float(i % 7) for i in range(count)]
    body, headers = binary_request(values)
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    headers |= {"Content-Encoding": coding, "Accept-Encoding": coding}
    status, answered, answer = server.call("POST", INFER, packed, headers)
    assert status == 200 and answered["content-encoding"] == coding
    plain = gzip.decompress(answer) if coding == "gzip" else zlib.decompress(answer)
    assert plain[int(answered["inference-header-content-length"]) :] == struct.pack(f"<{count}f", *values)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"\x00" * 100, {}, 400),
        (b"[" * 1000, {}, 400),
        (b'{"inputs":[]}', {}, 400),
        (b"{}", {"Content-Encoding": "br"}, 501),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"}, 400),
        (zlib.compress(bytes(8 << 20)), {"Content-Encoding": "deflate"}, 400),
        (b"x" * (1048576 + 1), {}, 400),
        *((b"{}", {"Inference-Header-Content-Length": text}, 400) for text in (
            "-1", "+1", "3", "99999999999", "9" * 5000, "1e3", "0x5", "5,5", "", "nan", "2 2",
        )),
    ],
)  # fmt: skip
def test_a_bad_request_leaves_the_connection_usable(
    server: ServerProcess, body: bytes, headers: dict[str, str], status: int
) -> None:
    connection = server.connect()
    got, answered, answer = exchange(connection, "POST", INFER, body, headers)
    assert got == status, answer
    message = json.loads(answer)["error"]
    assert message and not re.search(r"0x[0-9a-f]{6}|/tmp/|Traceback", message)
    if status == 501:
        assert answered["accept-encoding"] == "gzip, deflate"
    before = connection.sock
    got, _, answer = exchange(connection, "POST", INFER, json.dumps(infer_request(1.0)))
    assert (got, answer_data(answer)) == (200, [1.0])
    assert connection.sock is before is not None
    connection.close()


def test_the_largest_body_is_served(server: ServerProcess) -> None:
    body, headers = binary_request([1.0] * 200_000)
    for size in (1048576 - len(body), 1048577 - len(body)):
        padded = body[:1] + b" " * size + body[1:]
        length = int(headers["Inference-Header-Content-Length"]) + size
        status, _, _ = server.call("POST", INFER, padded, {"Inference-Header-Content-Length": str(length)})
        assert status == (200 if len(padded) <= 1048576 else 400)


def raw(server: ServerProcess, *pieces: bytes) -> socket.socket:
    host, port = server.http.split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    for piece in pieces:
        connection.sendall(piece)
    return connection


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    connection.close()
    return b"".join(pieces)


def test_chunked_and_pipelined(server: ServerProcess) -> None:
    body = json.dumps(infer_request(7.0)).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode()
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[i : i + 9]), body[i : i + 9]) for i in range(0, len(body), 9)
    )
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    plain = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answer = read_all(raw(server, chunked + plain + last))
    assert answer.count(b"HTTP/1.1 200 OK") == 3 and answer.count(b'"data":[7.0]') == 3


def test_a_chunked_body_is_bounded_too(server: ServerProcess) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    answer = read_all(raw(server, head, *[chunk] * 17, b"0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400") and b"maximum allowed input size" in answer


def test_expect_continue(server: ServerProcess) -> None:
    body = json.dumps(infer_request(7.0)).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
    connection = raw(server, head.encode() + b"Content-Length: %d\r\n\r\n" % len(body))
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert b'"data":[7.0]' in read_all(connection)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n" % INFER.encode(),
        b"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" % INFER.encode(),
        b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http_is_answered_and_closed(server: ServerProcess, garbage: bytes) -> None:
    answer = read_all(raw(server, garbage))
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert b'{"error":"malformed' in answer and b"Traceback" not in answer
    assert server.call("GET", "/v2/health/live")[0] == 200


def test_clients_that_go_away(server: ServerProcess) -> None:
    body, _ = binary_request([1.0] * 1000)
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    whole = head + body
    for cut in range(1, len(whole), 101):
        raw(server, whole[:cut]).close()
    assert server.json("POST", INFER, infer_request(1.0))[0] == 200
    assert "Traceback" not in server.log and "unexpected" not in server.log


def test_errors_hold_no_secrets(server: ServerProcess, repository: Path) -> None:
    for path in (
        "/v2/models/none",
        "/v2/models/%2e%2e/config",
        "/v2/models/a%00b",
        "/v2/models/" + "x" * 5000,
    ):
        status, _, body = server.call("GET", path)
        assert 400 <= status < 500 and str(repository).encode() not in body
