"""Models that give any number of responses, over gRPC and in process."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

import naiad
from naiad.errors import Internal, InvalidArgument, Unsupported

from .conftest import ServerProcess, Start, write_model

REPEAT = """
backend: "python"
input [ { name: "IN" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""

# A response for each element, from a thread of its own: below zero a failure, 1000 many large ones.
REPEAT_MODEL = """
import threading
import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy().tolist()
            sender = request.get_response_sender()
            threading.Thread(target=self.answer, args=(sender, values), daemon=True).start()

    def answer(self, sender, values):
        for value in values:
            if value < 0:
                error = pb_utils.TritonError("suite %d" % value, pb_utils.TritonError.INVALID_ARG)
                sender.send(pb_utils.InferenceResponse([], error=error))
            elif value == 1000:
                while not sender.is_cancelled():
                    sender.send(self.response(np.zeros(100_000, np.int32)))
            elif value == 2000:
                return
            else:
                sender.send(self.response(np.array([value], np.int32)))
        sender.send(flags=FINAL)

    def response(self, array):
        tensor = pb_utils.Tensor("OUT", array)
        return pb_utils.InferenceResponse([tensor], parameters={"size": array.size})
"""

PLAIN = 'backend: "identity" input [ { name: "IN" data_type: TYPE_INT32 dims: [ -1 ] } ]' + (
    ' output [ { name: "OUT" data_type: TYPE_INT32 dims: [ -1 ] } ]'
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decoupled")
    write_model(path, "repeat", REPEAT, REPEAT_MODEL)
    write_model(path, "plain", PLAIN)
    return path


@pytest.fixture(scope="module")
def server(start_server: Start, repository: Path) -> ServerProcess:
    return start_server(repository)


class Stream:
    """A ModelStreamInfer call: what came, in order."""

    def __init__(self, server: ServerProcess) -> None:
        self.came: queue.Queue[Any] = queue.Queue()
        self.client = triton.InferenceServerClient(server.grpc)
        self.client.start_stream(lambda result, error: self.came.put(error or result))

    def ask(self, *values: int, model: str = "repeat", request_id: str = "", **options: Any) -> None:
        tensor = triton.InferInput("IN", [len(values)], "INT32")
        tensor.set_data_from_numpy(np.array(values, np.int32))
        self.client.async_stream_infer(model, [tensor], request_id=request_id, **options)

    def take(self) -> Any:
        return self.came.get(timeout=20)

    def close(self, **options: Any) -> None:
        self.client.stop_stream(**options)
        self.client.close()


@pytest.fixture
def stream(server: ServerProcess) -> Iterator[Stream]:
    made = Stream(server)
    yield made
    made.close(cancel_requests=True)


def shown(result: Any) -> tuple[str, int, bool]:
    response = result.get_response()
    return (
        response.id,
        int(result.as_numpy("OUT")[0]),
        response.parameters["triton_final_response"].bool_param,
    )


def test_responses_come_in_order_with_their_parameters_and_no_empty_one(stream: Stream) -> None:
    stream.ask(5, 6, request_id="a")
    first = stream.take()
    assert shown(first) == ("a", 5, False)
    assert first.get_response().parameters["size"].int64_param == 1
    assert shown(stream.take()) == ("a", 6, False)
    stream.ask(request_id="none")
    stream.ask(7, request_id="b")
    assert shown(stream.take()) == ("b", 7, False)


def test_an_empty_end_is_told_to_who_asks_for_it(stream: Stream) -> None:
    stream.ask(1, request_id="a", enable_empty_final_response=True)
    assert shown(stream.take()) == ("a", 1, False)
    end = stream.take().get_response()
    assert end.parameters["triton_final_response"].bool_param
    assert (end.id, end.model_name, len(end.outputs)) == ("a", "repeat", 0)


def test_failures_are_responses_and_others_come_behind_them(stream: Stream) -> None:
    stream.ask(-1, 3, request_id="a")
    assert "suite -1" in str(stream.take())
    assert shown(stream.take()) == ("a", 3, False)


def test_a_sender_that_is_forgotten_fails_its_request(stream: Stream) -> None:
    stream.ask(4, 2000, request_id="a")
    assert shown(stream.take()) == ("a", 4, False)
    assert "before its last response" in str(stream.take())


def test_other_models_answer_in_between(stream: Stream) -> None:
    stream.ask(1000, request_id="endless")
    stream.ask(9, model="plain", request_id="plain")
    while (result := stream.take()).get_response().id != "plain":
        assert result.as_numpy("OUT").shape == (100_000,)
    assert shown(result) == ("plain", 9, True)


def test_a_client_that_goes_ends_the_model_s_work(server: ServerProcess, repository: Path) -> None:
    stream = Stream(server)
    stream.ask(1000)
    stream.take()
    stream.close(cancel_requests=True)

    def counts() -> dict[str, Any]:
        _, stats = server.json("GET", "/v2/models/repeat/stats")
        assert isinstance(stats, dict)
        found: dict[str, Any] = stats["model_stats"][0]["inference_stats"]
        return found

    for _ in range(500):
        executed = counts()["compute_infer"]["count"]
        if counts()["success"]["count"] + counts()["fail"]["count"] >= executed:
            break
        threading.Event().wait(0.02)
    assert counts()["success"]["count"] + counts()["fail"]["count"] >= executed


def test_calls_that_have_one_answer_are_refused(server: ServerProcess) -> None:
    body = {"inputs": [{"name": "IN", "datatype": "INT32", "shape": [1], "data": [1]}]}
    status, answer = server.json("POST", "/v2/models/repeat/infer", body)
    assert status == 501
    assert answer == {"error": "HTTP end point doesn't support models with decoupled transaction policy"}
    client = triton.InferenceServerClient(server.grpc)
    tensor = triton.InferInput("IN", [1], "INT32")
    tensor.set_data_from_numpy(np.array([1], np.int32))
    with pytest.raises(triton.InferenceServerException, match="ModelInfer RPC doesn't support") as raised:
        client.infer("repeat", [tensor])
    assert raised.value.status() == "StatusCode.UNIMPLEMENTED"
    client.close()


def test_the_statistics_tell_of_responses(server: ServerProcess, stream: Stream) -> None:
    stream.ask(1, 2, request_id="a", enable_empty_final_response=True)
    for _ in range(3):
        stream.take()
    _, stats = server.json("GET", "/v2/models/repeat/stats")
    assert isinstance(stats, dict)
    places = stats["model_stats"][0]["response_stats"]
    assert places["0"]["success"]["count"] >= 1
    assert places["2"]["empty_response"]["count"] >= 1


@pytest.fixture(scope="module")
def local(repository: Path) -> Iterator[naiad.Server]:
    with naiad.Server(model_repository=repository, pool_bytes=64 << 20) as made:
        yield made


def values(*given: int) -> dict[str, Any]:
    return {"IN": np.array(given, np.int32)}


def test_in_process_iterator(local: naiad.Server) -> None:
    model = local.model("repeat")
    assert [int(result["OUT"][0]) for result in model.stream(values(1, 2, 3))] == [1, 2, 3]
    assert list(model.stream(values())) == []
    seen = []
    with pytest.raises(InvalidArgument, match="suite -7"):
        for result in model.stream(values(4, -7)):
            seen.append(int(result["OUT"][0]))
    assert seen == [4]
    with pytest.raises(Internal, match="let go"):
        list(model.stream(values(2000)))
    assert [int(result["OUT"][0]) for result in local.model("plain").stream(values(8))] == [8]


def test_in_process_left_early_is_cancelled(local: naiad.Server) -> None:
    for result in local.model("repeat").stream(values(1000)):
        assert result["OUT"].shape == (100_000,)
        break


def test_in_process_coroutines(local: naiad.Server) -> None:
    async def collect() -> list[int]:
        return [int(result["OUT"][0]) async for result in local.model("repeat").astream(values(3, 4))]

    async def leave() -> None:
        async for _ in local.model("repeat").astream(values(1000)):
            break

    assert asyncio.run(collect()) == [3, 4]
    asyncio.run(leave())


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.infer(values(1)),
        lambda model: model.infer_many([values(1)]),
        lambda model: asyncio.run(model.ainfer(values(1))),
        lambda model: model.submit(values(1), print),
    ],
)
def test_in_process_one_answer_is_refused(local: naiad.Server, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(Unsupported, match="use stream"):
        ask(local.model("repeat"))


def test_failed_streams_leave_nothing_behind(local: naiad.Server) -> None:
    model = local.model("repeat")

    def failed() -> None:
        with pytest.raises(InvalidArgument, match="suite -7"):
            list(model.stream(values(-7)))

    failed()
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        failed()
    gc.collect()
    # What earlier tests have left may go meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
