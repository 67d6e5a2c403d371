"""Reading of messages."""

from __future__ import annotations

from naiad import protos
from naiad.grpc.wire import parse


def test_parse() -> None:
    kind = protos.ModelReadyRequest
    assert parse(kind, kind(name="m").SerializeToString()).name == "m"
    assert parse(kind, b"\xff") is None
