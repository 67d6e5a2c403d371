"""Calls over wires of fakes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from grpc_reflection.v1alpha import reflection_pb2

from naiad import protos
from naiad.errors import InvalidArgument, NotFound
from naiad.grpc.call import Call, Method, unary
from naiad.grpc.calls import Calls
from naiad.grpc.reflection import SERVICE, ReflectionMethods

OK, CANCELLED, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, INTERNAL = 0, 1, 3, 5, 12, 13


@dataclass
class FakeWire:
    """A call whose client has sent all its messages at once."""

    method: str
    messages: list[bytes] = field(default_factory=list)
    number: int = 1
    reads: int = 0
    sent: list[bytes] = field(default_factory=list)
    ended: tuple[int, str] | None = None
    metadata: list[tuple[str, bytes]] = field(default_factory=list)
    calls: Calls | None = None

    def read(self) -> None:
        self.reads += 1
        if self.calls is not None:
            message = self.messages.pop(0) if self.messages else None
            asyncio.get_running_loop().call_soon(self.calls.deliver, self.number, message)

    def write(self, message: bytes) -> None:
        assert self.ended is None
        self.sent.append(message)

    def finish(self, status: int, message: str) -> None:
        assert self.ended is None
        self.ended = (status, message)


async def settle(*wires: FakeWire) -> None:
    """Until the calls have ended."""
    async with asyncio.timeout(30):
        while any(wire.ended is None for wire in wires):
            await asyncio.sleep(0)


def answer(methods: Mapping[str, Method], wire: FakeWire) -> FakeWire:
    """Runs one call to its end."""

    async def main() -> None:
        wire.calls = Calls(methods)
        wire.calls.begin(wire)
        await settle(wire)

    asyncio.run(main())
    return wire


async def double(message: bytes) -> bytes:
    return message * 2


def test_a_unary_call_is_one_message_for_one() -> None:
    wire = answer({"/s/Double": unary(double)}, FakeWire("/s/Double", [b"ab"]))
    assert (wire.sent, wire.ended, wire.reads) == ([b"abab"], (OK, ""), 1)


def test_a_unary_call_without_a_message_fails() -> None:
    wire = answer({"/s/Double": unary(double)}, FakeWire("/s/Double"))
    assert wire.sent == [] and wire.ended == (INTERNAL, "the call has no request message")


def test_an_unknown_method_is_unimplemented() -> None:
    assert answer({}, FakeWire("/s/None")).ended == (UNIMPLEMENTED, "Method not found!")


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (NotFound("no such model"), (NOT_FOUND, "no such model")),
        (InvalidArgument("wrong"), (INVALID_ARGUMENT, "wrong")),
        (KeyError("secret"), (INTERNAL, "internal error")),
    ],
)
def test_errors_become_statuses(error: Exception, ended: tuple[int, str], caplog: Any) -> None:
    async def fail(message: bytes) -> bytes:
        raise error

    with caplog.at_level(logging.CRITICAL):
        assert answer({"/s/Fail": unary(fail)}, FakeWire("/s/Fail", [b""])).ended == ended


def test_a_stream_reads_until_the_client_ends_it() -> None:
    async def echo(call: Call) -> None:
        while (message := await call.read()) is not None:
            call.write(message)

    wire = answer({"/s/Echo": echo}, FakeWire("/s/Echo", [b"a", b"b", b"c"]))
    assert (wire.sent, wire.ended) == ([b"a", b"b", b"c"], (OK, ""))


def with_waiting_call(body: Callable[[Calls, FakeWire], Coroutine[Any, Any, None]]) -> FakeWire:
    """Runs ``body`` beside a call that waits for ever."""
    wire = FakeWire("/s/Wait")

    async def wait(call: Call) -> None:
        await call.read()

    async def main() -> None:
        calls = Calls({"/s/Wait": wait})
        calls.begin(wire)
        await body(calls, wire)

    asyncio.run(main())
    return wire


def test_a_client_that_goes_ends_the_call() -> None:
    async def gone(calls: Calls, wire: FakeWire) -> None:
        while wire.reads == 0:
            await asyncio.sleep(0)
        calls.cancel(wire.number)
        # What was under way when the client went finds nobody.
        calls.deliver(wire.number, None)
        await settle(wire)
        calls.deliver(wire.number, None)
        calls.cancel(wire.number)

    assert with_waiting_call(gone).ended == (CANCELLED, "the call was cancelled")


def test_a_client_that_goes_before_the_call_began() -> None:
    async def gone(calls: Calls, wire: FakeWire) -> None:
        calls.cancel(wire.number)
        await settle(wire)

    wire = with_waiting_call(gone)
    assert wire.reads == 0 and wire.ended is not None and wire.ended[0] == CANCELLED


def test_stop_lets_calls_end_and_cancels_the_rest() -> None:
    async def stop(calls: Calls, wire: FakeWire) -> None:
        quick = FakeWire("/s/Wait", number=2)
        calls.begin(quick)
        stopping = asyncio.create_task(calls.stop(0.01))
        while quick.reads == 0:
            await asyncio.sleep(0)
        calls.deliver(2, None)
        await stopping
        assert quick.ended == (OK, "")

    assert with_waiting_call(stop).ended == (CANCELLED, "the call was cancelled")


def test_reflection_lists_services_and_refuses_nonsense() -> None:
    methods = {f"/{SERVICE}/{name}": method for name, method in ReflectionMethods(["a.B"]).methods().items()}
    request: Any = reflection_pb2.ServerReflectionRequest  # type: ignore[attr-defined]
    response: Any = reflection_pb2.ServerReflectionResponse  # type: ignore[attr-defined]
    path = f"/{SERVICE}/ServerReflectionInfo"
    asked = [
        request(list_services="").SerializeToString(),
        request(file_containing_symbol=protos.INFERENCE_SERVICE).SerializeToString(),
    ]
    wire = answer(methods, FakeWire(path, asked))
    listed, file = (response.FromString(message) for message in wire.sent)
    assert [service.name for service in listed.list_services_response.service] == ["a.B", SERVICE]
    assert file.file_descriptor_response.file_descriptor_proto and wire.ended == (OK, "")
    assert answer(methods, FakeWire(path, [b"\xff"])).ended == (
        INVALID_ARGUMENT,
        "the message is not a valid ServerReflectionInfo request",
    )
