"""Responses one by one: events of HTTP, messages of gRPC."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naiad import protos
from naiad.errors import InvalidArgument
from naiad.loadgen.grpc_stream import StreamingConnection
from naiad.loadgen.http2_messages import MessageStream
from naiad.loadgen.http_events import Chunks, EventConnection
from naiad.loadgen.inputs import InputTensor
from naiad.loadgen.measure import Level
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.report import STREAM_COLUMNS, row_of
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import ServerTime
from naiad.loadgen.windows import Window
from naiad.loadgen.wire import generate_request

from .test_http2 import frame, trailers


class Load:
    """Stands for HttpLoad."""

    def __init__(self) -> None:
        self.recorder = Recorder(0.0, 1e12, lambda window: None)
        self.failures: list[str] = []
        self.freed = 0
        self.scenario = Scenario("http", "h", 1, (b"",), streaming=True)

    def failed(self, connection: Any, reason: str, now_s: float) -> None:
        self.failures.append(reason)

    def free(self, *connection: Any) -> None:
        self.freed += 1

    @property
    def window(self) -> Window:
        return self.recorder._window


class Transport:
    """Takes what is written."""

    def write(self, data: bytes) -> None:
        self.written = data

    def abort(self) -> None:
        self.aborted = True


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def answered(*parts: bytes, status: bytes = b"200 OK", size: int = 0) -> Load:
    """By chunks, in pieces of ``size``; the request came at 0."""
    load = Load()
    connection = EventConnection(load, ("y",))  # type: ignore[arg-type]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    connection.send(b"", 0.0)
    answer = b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*parts)
    for at in range(0, len(answer), size or len(answer)):
        connection.data_received(answer[at : at + (size or len(answer))])
    assert load.freed == 1 and not connection.busy
    return load


@pytest.mark.parametrize("size", [0, 1, 7])
def test_events_are_responses(size: int) -> None:
    events = [
        b'data: {"y": 1}\n\n',
        b'data: {"y"',
        b": 2}\n\n" + b'data: {"y": 3}\n\n',
        b'data: {"id": ""}\n\n',
    ]
    load = answered(*events, size=size)
    assert load.failures == []
    assert (load.window.first.count, load.window.between.count, load.window.answers) == (1, 2, 1)


def test_events_that_tell_of_failures() -> None:
    load = answered(b'data: {"y": 1}\n\n', b'data: {"error": "no more"}\n\n')
    assert load.failures == ["the stream failed: no more"] and load.window.answers == 0
    assert answered(b"data: {\n\n").failures == ["an event that is no JSON"]
    assert answered(b'{"error": "x"}', status=b"400 Bad").failures == ['400 Bad: {"error": "x"}']


def test_answers_that_are_no_stream() -> None:
    for answer, reason in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "an answer that is no stream of events"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", "404 No: {}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk of an answer"),
    ):
        load = Load()
        connection = EventConnection(load, ("y",))  # type: ignore[arg-type]
        connection.connection_made(Transport())  # type: ignore[arg-type]
        connection.send(b"", 0.0)
        connection.data_received(answer)
        assert len(load.failures) == 1 and load.failures[0].startswith(reason)


def test_a_stream_is_given_up_after_its_last_response() -> None:
    load = Load()
    connection = EventConnection(load, ("y",))  # type: ignore[arg-type]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    connection.send(b"", 0.0)
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.data_received(chunked(b'data: {"y": 1}\n\n')[:-5])
    came_s = connection._before_s
    assert came_s is not None
    connection.check(came_s + 59, 60)
    assert load.failures == []
    connection.check(came_s + 61, 60)
    assert load.failures == ["no response in 60 s"]


def test_chunks() -> None:
    chunks = Chunks()
    assert chunks.feed(b"3;x=y\r\nab") == b""
    assert chunks.feed(b"c\r\n0\r\n") == b"abc" and not chunks.ended
    assert chunks.feed(b"\r\n") == b"" and chunks.ended


class Caller:
    """Collects messages and ends of calls."""

    def __init__(self) -> None:
        self.came: list[tuple[int, bytes]] = []
        self.ended: list[tuple[int, str]] = []
        self.stream = MessageStream(
            "h:1", "/s/m", lambda data: None, lambda *call: self.ended.append(call),
            lambda *message: self.came.append(message),
        )  # fmt: skip


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize("size", [1, 4, 6, 1000])
def test_messages_come_as_soon_as_they_are_whole(size: int) -> None:
    caller = Caller()
    one, other = caller.stream.call(b""), caller.stream.call(b"")
    content = message(b"abc") + message(b"") + message(b"x" * 300)
    for at in range(0, len(content), size):
        for stream in (one, other):
            caller.stream.receive(frame(0, 0, stream, content[at : at + size]))
    for stream in (one, other):
        assert [body for of, body in caller.came if of == stream] == [b"abc", b"", b"x" * 300]
        caller.stream.receive(frame(1, 5, stream, trailers(grpc_status="0")))
    assert caller.ended == [(one, ""), (other, "")]


def test_messages_that_can_not_be_read() -> None:
    caller = Caller()
    for _ in range(3):
        caller.stream.call(b"")
    caller.stream.receive(frame(0, 0, 1, b"\1\0\0\0\1x") + frame(0, 0, 1, message(b"y")))
    caller.stream.receive(frame(0, 0, 3, message(b"abc")[:-1]))
    caller.stream.receive(frame(0, 8, 5, b"\2" + message(b"padded") + b"\0\0"))
    for stream in (1, 3, 5):
        caller.stream.receive(frame(1, 5, stream, trailers(grpc_status="0")))
    assert caller.came == [(5, b"padded")]
    ended = dict(caller.ended)
    assert "compressed" in ended[1] and "too early" in ended[3] and ended[5] == ""


def test_a_body_of_json() -> None:
    inputs = [
        InputTensor("text_input", "BYTES", (1, 1), b"\2\0\0\0hi"),
        InputTensor("n", "INT32", (2,), b"\1\0\0\0\2\0\0\0"),
        InputTensor("b", "BF16", (1,), b"\x80\x3f"),
        InputTensor("s", "BOOL", (1,), b"\1"),
    ]
    request = generate_request("h:1", "m", "", inputs, [("a", "b")])
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/m/generate_stream HTTP/1.1\r\nHost: h:1\r\na: b\r\n")
    assert json.loads(body) == {"text_input": "hi", "n": [1, 2], "b": 1.0, "s": True}
    with pytest.raises(InvalidArgument, match="--protocol grpc"):
        generate_request("h:1", "m", "", [InputTensor("x", "UINT8", (2, 2), b"1234")])


def test_figures_of_streams() -> None:
    window = Window(seconds=2.0)
    window.latency.add(0.5)
    window.first.add(0.1)
    for _ in range(3):
        window.between.add(0.05)
    row = row_of("h", Level(1, 0.0, Window.from_json(window.to_json()), ServerTime(), True, 3), 1)
    assert row["time_to_first_response_mean_us"] == 100_000
    assert row["time_between_responses_p99_us"] == pytest.approx(50_000, rel=0.005)
    assert (row["responses_per_request"], row["responses_per_second"]) == (4, 2)
    alone = row_of("h", Level(1, 0.0, Window(seconds=1.0), ServerTime(), True, 3), 1)
    assert [alone[name] for name in STREAM_COLUMNS] == [None] * len(STREAM_COLUMNS)


def test_messages_are_responses() -> None:
    load = Load()
    load.scenario = Scenario("grpc", "h", 1, (b"",), streaming=True)
    connection = StreamingConnection(load)  # type: ignore[arg-type]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    for stream in (1, 3):
        connection.send(b"", iter(()), 0.0)
        response = protos.ModelStreamInferResponse()
        response.infer_response.model_name = "m"
        final = message(response.SerializeToString())
        response.infer_response.outputs.add(name="y")
        whole = message(response.SerializeToString())
        connection.data_received(frame(0, 0, stream, whole + whole))
        connection.data_received(frame(0, 0, stream, final))
    error = protos.ModelStreamInferResponse(error_message="no more")
    connection.data_received(frame(0, 0, 3, message(error.SerializeToString())))
    for stream in (1, 3):
        connection.data_received(frame(1, 5, stream, trailers(grpc_status="0")))
    assert (load.window.first.count, load.window.between.count, load.window.answers) == (2, 2, 1)
    assert load.failures == ["the stream failed: no more"] and load.freed == 2
