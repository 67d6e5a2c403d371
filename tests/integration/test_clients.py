"""Triton's own clients, unchanged."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from .conftest import ServerProcess

ARRAY = np.arange(12, dtype=np.float32).reshape(2, 6)
STRINGS = np.array([b"a", "ä".encode(), b"\x00\xff", b""], dtype=np.object_)


@pytest.fixture
def over_http(server: ServerProcess) -> Iterator[Any]:
    with triton_http.InferenceServerClient(server.http, concurrency=4) as client:
        yield client


@pytest.fixture
def over_grpc(server: ServerProcess) -> Iterator[Any]:
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        yield client


def fill(module: Any, array: np.ndarray[Any, Any], **more: Any) -> Any:
    datatype = "BYTES" if array.dtype == np.object_ else "FP32"
    tensor = module.InferInput("INPUT0", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **more)
    return tensor


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_http(over_http: Any, binary_in: bool, binary_out: bool, coding: str | None) -> None:
    result = over_http.infer(
        "identity",
        [fill(triton_http, ARRAY, binary_data=binary_in)],
        outputs=[triton_http.InferRequestedOutput("OUTPUT0", binary_data=binary_out)],
        request_id="9",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ARRAY)
    assert result.get_response()["id"] == "9"


def test_http_control(over_http: Any) -> None:
    assert over_http.is_server_live() and over_http.is_server_ready() and over_http.is_model_ready("identity")
    assert over_http.get_model_metadata("identity", "1")["name"] == "identity"
    assert over_http.get_model_config("identity")["max_batch_size"] == 8
    assert over_http.get_inference_statistics("identity")["model_stats"][0]["name"] == "identity"
    assert {row["name"] for row in over_http.get_model_repository_index()} == {"identity", "strings"}
    with pytest.raises(InferenceServerException, match="'none' is not found"):
        over_http.get_model_metadata("none")


def test_strings(over_http: Any, over_grpc: Any) -> None:
    for module, client in ((triton_http, over_http), (triton_grpc, over_grpc)):
        result = client.infer("strings", [fill(module, STRINGS)])
        assert list(result.as_numpy("OUTPUT0")) == list(STRINGS)


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_grpc(over_grpc: Any, coding: str | None) -> None:
    result = over_grpc.infer(
        "identity", [fill(triton_grpc, ARRAY)], request_id="9", compression_algorithm=coding
    )
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ARRAY)
    assert result.get_response().id == "9"


def test_grpc_control(over_grpc: Any) -> None:
    assert over_grpc.is_server_live() and over_grpc.is_server_ready() and over_grpc.is_model_ready("identity")
    assert over_grpc.get_model_metadata("identity", as_json=True)["name"] == "identity"
    assert over_grpc.get_model_config("identity").config.max_batch_size == 8
    assert over_grpc.get_inference_statistics("identity").model_stats[0].name == "identity"
    with pytest.raises(InferenceServerException, match="'none' is not found"):
        over_grpc.infer("none", [fill(triton_grpc, ARRAY)])


def test_grpc_stream(over_grpc: Any) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    over_grpc.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(20):
        over_grpc.async_stream_infer("identity", [fill(triton_grpc, ARRAY)], request_id=str(number))
    got = [answers.get(timeout=30) for _ in range(20)]
    over_grpc.stop_stream()
    assert all(error is None for _, error in got)
    assert [result.get_response().id for result, _ in got] == [str(number) for number in range(20)]


def test_asyncio_clients(server: ServerProcess) -> None:
    async def main() -> None:
        async with (
            triton_http_aio.InferenceServerClient(server.http) as http_client,
            triton_grpc_aio.InferenceServerClient(server.grpc) as grpc_client,
        ):
            results = await asyncio.gather(
                *(http_client.infer("identity", [fill(triton_http, ARRAY + i)]) for i in range(20)),
                *(grpc_client.infer("identity", [fill(triton_grpc, ARRAY + i)]) for i in range(20)),
            )
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ARRAY + i % 20)

    asyncio.run(main())
