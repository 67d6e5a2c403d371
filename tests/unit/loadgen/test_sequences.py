"""Requests in sequences."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from naiad import protos
from naiad.loadgen.grpc_connection import GrpcConnection
from naiad.loadgen.grpc_load import GrpcLoad
from naiad.loadgen.http_connection import HttpConnection
from naiad.loadgen.http_load import HttpLoad
from naiad.loadgen.inputs import InputTensor
from naiad.loadgen.recorder import Recorder
from naiad.loadgen.scenario import Protocol, Scenario
from naiad.loadgen.sequences import Alone, Sequences, requests_of
from naiad.loadgen.wire import grpc_request, http_request

Told = tuple[int, bool, bool, int]
"""Id, start, end, the input's value."""


def sequences_of(protocol: Protocol, first: int = 1, step: int = 1) -> Sequences:
    """Of three requests, in which two rows of inputs take turns."""
    rows = [[InputTensor("x", "UINT8", (1,), bytes([value]))] for value in (10, 20)]
    encoded = tuple(
        http_request("h", "m", "", row, ["y"], sequence=True)
        if protocol == "http"
        else grpc_request("m", "", row, ["y"])
        for row in rows
    )
    scenario = Scenario(
        protocol, "h", 1, encoded, sequence_length=3, first_sequence=first, sequence_step=step
    )
    found = requests_of(scenario)
    assert isinstance(found, Sequences)
    return found


def told(protocol: str, request: bytes) -> Told:
    if protocol == "grpc":
        message = protos.ModelInferRequest.FromString(request)
        given = message.parameters
        switches = given["sequence_start"].bool_param, given["sequence_end"].bool_param
        return (given["sequence_id"].int64_param, *switches, message.raw_input_contents[0][0])
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(fields["Content-Length"]) == len(body)
    length = int(fields["Inference-Header-Content-Length"])
    parameters = json.loads(body[:length])["parameters"]
    names = ("sequence_id", "sequence_start", "sequence_end")
    number, start, end = (parameters[name] for name in names)
    return number, start, end, body[length]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_slot_has_one_sequence_after_the_other(protocol: Protocol) -> None:
    sequences = sequences_of(protocol, first=5, step=2)
    one, other = sequences.take(), sequences.take()

    def following(requests: Iterator[bytes]) -> Told:
        return told(protocol, next(requests))

    assert following(one) == (5, True, False, 10)
    assert following(other) == (7, True, False, 10)
    assert [following(one) for _ in range(3)] == [
        (5, False, False, 20), (5, False, True, 10), (9, True, False, 10),
    ]  # fmt: skip


def test_after_a_failure_a_sequence_begins_anew() -> None:
    sequences = sequences_of("grpc")
    requests = sequences.take()
    for sent in (1, 2, 3):
        found = [told("grpc", next(requests)) for _ in range(sent)]
        assert found[0][:2] == (1, True) and {one[0] for one in found} == {1}
        sequences.failed(requests)
    assert told("grpc", next(requests)) == (1, True, False, 10)


def test_what_has_begun_is_ended() -> None:
    sequences = sequences_of("grpc")
    begun, whole, waiting = sequences.take(), sequences.take(), sequences.take()
    for requests, count in ((begun, 1), (whole, 3), (waiting, 2)):
        for _ in range(count):
            next(requests)
    sequences.give_back(waiting)
    assert sequences.end() == [waiting]
    assert told("grpc", next(begun))[:3] == (1, False, True)
    assert told("grpc", next(waiting))[:3] == (3, False, True)
    for requests in (begun, whole, waiting, sequences.take()):
        assert next(requests, None) is None


def test_one_that_waits_is_taken_first() -> None:
    sequences = sequences_of("grpc")
    requests = sequences.take()
    next(requests)
    sequences.give_back(requests)
    assert sequences.take() is requests
    assert sequences.take() is not requests


class Connection:
    """Stands for a transport."""

    def write(self, data: bytes) -> None:
        self.written = data


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_sequence_outlives_its_connection(protocol: Protocol) -> None:
    sequences = sequences_of(protocol)
    scenario = Scenario(protocol, "h", 1, sequences.requests, sequence_length=3)
    recorder = Recorder(0.0, 1e12, lambda window: None)
    requests: Iterator[bytes]
    if protocol == "http":
        load = HttpLoad(scenario, recorder)
        connection = HttpConnection(load)
        connection.connection_made(Connection())  # type: ignore[arg-type]
        requests = connection.requests = load._requests.take()
        next(requests)
        connection.send(next(requests), 0.0)
        connection.connection_lost(None)
        assert load._requests.take() is requests
    else:
        calls = GrpcLoad(scenario, recorder)
        called = GrpcConnection(calls)
        called.connection_made(Connection())  # type: ignore[arg-type]
        requests = calls._requests.take()
        next(requests)
        called.send(next(requests), requests, 0.0)
        called.connection_lost(None)
        assert calls._owed == [requests]
    assert list(recorder._window.errors) == ["connection lost: closed by the server"]
    assert told(protocol, next(requests)) == (1, True, False, 10)


def test_requests_that_stand_alone() -> None:
    found = requests_of(Scenario("http", "h", 1, (b"a", b"b")))
    assert isinstance(found, Alone)
    assert [next(found.take()) for _ in range(3)] == [b"a", b"b", b"a"]
    assert found.end() == []
