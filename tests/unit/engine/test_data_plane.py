"""The I/O threads through their Python face: what they serve, what they leave to an event loop, their end."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from naiad import engine as core
from naiad import protos
from naiad.errors import InvalidArgument, Unavailable

from .test_core import Held, held, identity

REQUEST = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}]})
CONTROL = "/a.Service/Method"


@pytest.fixture
def engine() -> Iterator[core.Engine]:
    engine = core.Engine(pool_bytes=64 << 20)
    yield engine
    engine.close()


def start(engine: core.Engine, **options: Any) -> core.DataPlane:
    listen = core.Listen("127.0.0.1", 0)
    plane = core.DataPlane(engine, **{"http": listen, "grpc": listen} | options)
    plane.start()
    return plane


@pytest.fixture
def plane(engine: core.Engine) -> Iterator[core.DataPlane]:
    plane = start(engine)
    yield plane
    plane.stop()


def infer(plane: core.DataPlane, model: str = "id") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", plane.http_port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", f"/v2/models/{model}/infer", REQUEST)
        response = connection.getresponse()
        return response.status, response.read()


def take(plane: core.DataPlane) -> Any:
    """The next that the I/O threads leave."""
    poll = select.poll()
    poll.register(plane.fileno(), select.POLLIN)
    while True:
        assert poll.poll(30_000), "nothing came"
        if taken := plane.take():
            assert len(taken) == 1
            return taken[0]


@pytest.fixture
def channel(plane: core.DataPlane) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{plane.grpc_port}") as channel:
        yield channel


def test_inference_needs_no_event_loop(
    engine: core.Engine, plane: core.DataPlane, channel: grpc.Channel
) -> None:
    identity(engine)
    status, body = infer(plane)
    assert status == 200 and json.loads(body)["outputs"][0]["data"] == [1.0, 2.5]
    request = protos.ModelInferRequest(model_name="id")
    request.inputs.add(name="X", datatype="FP32", shape=[1, 1])
    request.raw_input_contents.append(b"abcd")
    stub = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    answer = protos.ModelInferResponse.FromString(stub(request.SerializeToString(), timeout=30))
    assert answer.raw_output_contents[0] == b"abcd"
    assert plane.take() == []
    usage = plane.usage()
    assert usage["accepted_connections"] == 2 and usage["refused_connections"] == 0
    assert usage["in_flight"] == 0


def test_other_http_comes_over_a_socket(plane: core.DataPlane) -> None:
    client = socket.create_connection(("127.0.0.1", plane.http_port), timeout=30)
    client.sendall(b"GET /v2?x=1 HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
    with socket.socket(fileno=take(plane)) as ours:
        ours.settimeout(30)
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += ours.recv(4096)
        assert asked.startswith(b"GET /v2?x=1 HTTP/1.1\r\n") and b"\r\nA: b\r\n" in asked
        ours.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        answer = b""
        while not answer.endswith(b"ok"):
            answer += client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200")
    client.close()


def test_other_grpc_comes_as_calls(plane: core.DataPlane, channel: grpc.Channel) -> None:
    answers = channel.stream_stream(CONTROL)(
        iter([b"one", b"two"]), metadata=(("a", "b"), ("c-bin", b"\xff\x00")), timeout=1000
    )
    call = take(plane)
    assert isinstance(call, core.ControlCall) and call.method == CONTROL
    assert ("a", b"b") in call.metadata and ("c-bin", b"/wA") in call.metadata
    # gRPC's client rounds its timeout up, to three digits.
    assert call.seconds_left is not None and 0 < call.seconds_left <= 1010
    for expected in (b"one", b"two", None):
        call.read()
        message = take(plane)
        assert isinstance(message, core.ControlMessage)
        assert (message.call, message.message) == (call.number, expected)
    call.write(b"1" * 100_000)
    call.write(b"")
    call.finish(5, "no such thing")
    assert next(answers) == b"1" * 100_000 and next(answers) == b""
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND and caught.value.details() == "no such thing"
    with pytest.raises(InvalidArgument):
        call.finish(0, "")


def test_a_call_that_is_dropped_fails(plane: core.DataPlane, channel: grpc.Channel) -> None:
    answer = channel.unary_unary(CONTROL).future(b"")
    call = take(plane)
    assert call.seconds_left is None
    del call
    gc.collect()
    assert answer.code() is grpc.StatusCode.INTERNAL


def test_a_client_that_goes_is_told(plane: core.DataPlane, channel: grpc.Channel) -> None:
    answer = channel.unary_unary(CONTROL).future(b"")
    call = take(plane)
    answer.cancel()
    gone = take(plane)
    assert isinstance(gone, core.ControlCancel) and gone.call == call.number
    call.write(b"to nobody")
    call.finish(0, "")


def test_calls_outlive_the_plane(engine: core.Engine) -> None:
    plane = start(engine)
    with grpc.insecure_channel(f"127.0.0.1:{plane.grpc_port}") as channel:
        answer = channel.unary_unary(CONTROL).future(b"")
        call = take(plane)
        left = channel.unary_unary(CONTROL).future(b"")
        plane.stop()
        plane.stop()
        assert answer.code() is not grpc.StatusCode.OK and left.code() is not grpc.StatusCode.OK
    del plane
    gc.collect()
    call.read()
    call.write(b"")
    call.finish(0, "")


def test_requests_in_flight_finish_while_it_drains(engine: core.Engine) -> None:
    held(engine, model := Held())
    plane = start(engine)
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(infer, plane, "py")
        assert model.entered.wait(30)
        assert plane.usage()["in_flight"] == 1
        plane.refuse_inference()
        status, body = infer(plane, "py")
        assert status == 503 and b"Server is stopping" in body
        assert plane.drain(0) is False
        draining = pool.submit(plane.drain, 30)
        model.gate.set()
        assert answer.result()[0] == 200
        assert draining.result() is True
    assert plane.usage()["open_connections"] == 0
    plane.stop()


def test_giving_up_answers_for_the_model(engine: core.Engine) -> None:
    held(engine, model := Held())
    plane = start(engine)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(infer, plane, "py")
        assert model.entered.wait(30)
        plane.give_up()
        status, body = answer.result()
        assert status == 503 and b"not finished in time" in body
    model.gate.set()
    plane.stop()


def test_a_port_that_is_taken(engine: core.Engine, plane: core.DataPlane) -> None:
    with pytest.raises(Unavailable, match=str(plane.http_port)):
        core.DataPlane(engine, http=core.Listen("127.0.0.1", plane.http_port), grpc=None)


def test_too_many_connections_are_refused(engine: core.Engine) -> None:
    identity(engine)
    plane = start(engine, grpc=None, max_connections=1, io_threads=2)
    first = http.client.HTTPConnection("127.0.0.1", plane.http_port, timeout=30)
    first.request("POST", "/v2/models/id/infer", REQUEST)
    assert first.getresponse().read()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        infer(plane)
    assert plane.usage()["refused_connections"] == 1
    first.close()
    plane.stop()


def test_many_threads_of_clients(engine: core.Engine) -> None:
    identity(engine)
    held(engine, model := Held())
    model.gate.set()
    plane = start(engine, io_threads=2)
    failures: list[object] = []

    def work() -> None:
        for _ in range(50):
            for name in ("id", "py"):
                if (answer := infer(plane, name))[0] != 200:
                    failures.append(answer)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    plane.stop()


def test_files_of_tls_that_are_of_no_use_are_refused(engine: core.Engine, tmp_path: Path) -> None:
    tls = core.Tls(certificate_chain=str(tmp_path / "none.pem"), key="/none")
    with pytest.raises(InvalidArgument, match="none.pem' cannot be used: No such file"):
        tls.check()
    with pytest.raises(InvalidArgument, match="none.pem"):
        core.DataPlane(engine, http=core.Listen("127.0.0.1", 0, tls=tls), grpc=None)


def test_a_plain_port_has_nothing_to_reload(plane: core.DataPlane) -> None:
    assert not plane.reload_http_tls() and not plane.reload_grpc_tls()
    assert plane.usage()["failed_handshakes"] == 0
