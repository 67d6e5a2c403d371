"""The two forwarders against small servers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from aiohttp import web

from naiad.scaling.forward_grpc import GrpcForwarder
from naiad.scaling.forward_http import HttpForwarder, StreamedAnswer, WholeAnswer


@asynccontextmanager
async def http_server(answer: web.RequestHandler) -> AsyncIterator[str]:  # type: ignore[type-arg]
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_http_goes_through_as_it_is() -> None:
    seen: list[tuple[str, str, list[tuple[bytes, bytes]], bytes]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request.method, request.raw_path, list(request.raw_headers), await request.read()))
        response = web.Response(body=b"\x00\x01", status=400)
        response.headers.add("X-Two", "1")
        response.headers.add("X-Two", "2")
        response.headers["Inference-Header-Content-Length"] = "1"
        return response

    async def ask() -> WholeAnswer | StreamedAnswer:
        async with http_server(answer) as url, HttpForwarder(url) as forward:
            fields = [
                (b"Inference-Header-Content-Length", b"7"),
                (b"Host", b"proxy"),
                (b"connection", b"close"),
            ]
            return await forward.send("POST", "/v2/models/a%2Fb/infer?x=%20", fields, b"body")

    found = asyncio.run(ask())
    method, path, fields, body = seen[0]
    assert (method, path, body) == ("POST", "/v2/models/a%2Fb/infer?x=%20", b"body")
    assert (b"Inference-Header-Content-Length", b"7") in fields
    assert b"proxy" not in [value for _, value in fields]
    # Nothing is added that the client did not say.
    names = {name.lower() for name, _ in fields}
    assert names == {b"inference-header-content-length", b"host", b"content-length"}
    assert isinstance(found, WholeAnswer)
    assert (found.status, found.body) == (400, b"\x00\x01")
    assert [value for name, value in found.fields if name == b"X-Two"] == [b"1", b"2"]
    assert b"content-length" not in {name.lower() for name, _ in found.fields}


def test_an_answer_without_a_length_comes_in_parts() -> None:
    go_on = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await go_on.wait()
        await response.write(b"two")
        return response

    async def ask() -> list[bytes]:
        async with http_server(answer) as url, HttpForwarder(url) as forward:
            found = await forward.send("GET", "/")
            assert isinstance(found, StreamedAnswer)
            parts = []
            async for part in found.parts:
                parts.append(part)
                go_on.set()
            return parts

    assert asyncio.run(ask()) == [b"one", b"two"]


def test_who_is_cancelled_takes_the_request_back() -> None:
    async def ask() -> None:
        came, gone = asyncio.Event(), asyncio.Event()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            came.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            raise AssertionError

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            return await answer(request)

        runner = web.ServerRunner(web.Server(serve, handler_cancellation=True))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with HttpForwarder(f"http://127.0.0.1:{runner.addresses[0][1]}") as forward:
                task = asyncio.create_task(forward.send("GET", "/"))
                await came.wait()
                task.cancel()
                await asyncio.wait_for(gone.wait(), 30)
        finally:
            await runner.cleanup()

    asyncio.run(ask())


class _Echo(grpc.GenericRpcHandler):
    """Answers with what it gets and with the metadata that it sees."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        async def unary(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if message == b"fail":
                context.set_trailing_metadata((("retry", "1"),))
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            seen = {name for name, _ in details.invocation_metadata}
            return (
                message + b"|" + b",".join(sorted(name.encode() for name in seen & {"mine", "application"}))
            )

        async def streams(messages: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
            async for message in messages:
                yield message
                yield message

        if details.method == "/s/Both":
            return grpc.stream_stream_rpc_method_handler(streams)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def forwarder() -> AsyncIterator[GrpcForwarder]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    forward = GrpcForwarder(f"127.0.0.1:{port}")
    try:
        yield forward
    finally:
        await forward.close()
        await server.stop(0)


def test_grpc_messages_and_metadata_go_through() -> None:
    async def ask() -> bytes:
        async with forwarder() as forward:
            metadata = [("mine", "1"), ("application", "naiad"), ("user-agent", "x"), ("grpc-timeout", "1S")]
            return await forward.unary("/s/Unary", b"\x0a\x01m", metadata)

    # What is for Serve stays there.
    assert asyncio.run(ask()) == b"\x0a\x01m|mine"


def test_grpc_failures_keep_status_words_and_metadata() -> None:
    async def ask() -> None:
        async with forwarder() as forward:
            await forward.unary("/s/Unary", b"fail", ())

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        asyncio.run(ask())
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "no such model"
    assert ("retry", "1") in list(raised.value.trailing_metadata())


def test_grpc_streams_both_ways() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def ask() -> list[bytes]:
        async with forwarder() as forward:
            return [answer async for answer in forward.both_stream("/s/Both", messages(), ())]

    assert asyncio.run(ask()) == [b"a", b"a", b"b", b"b"]
