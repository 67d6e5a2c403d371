"""Priorities, time-outs, bounds and order of a model's queue, as clients see them."""

from __future__ import annotations

import concurrent.futures
import time
import urllib.request
from typing import Any

import pytest

from .conftest import ServerProcess, Start, write_model

SLOW = """
backend: "python"
max_batch_size: 1
input [ { name: "MS" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "PLACE" data_type: TYPE_INT32 dims: [ 1 ] } ]
%s
"""

# PLACE is the how manieth request of the model this is, as it ran them.
SLOW_MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    ran = 0

    def execute(self, requests):
        TritonPythonModel.ran += 1
        ms = int(pb_utils.get_input_tensor_by_name(requests[0], "MS").as_numpy()[0, 0])
        out = np.array([[TritonPythonModel.ran]], np.int32)
        time.sleep(ms / 1000)
        if ms == 1:
            raise ValueError("1 ms is too short")
        return [pb_utils.InferenceResponse([pb_utils.Tensor("PLACE", out)])]
"""


@pytest.fixture(scope="module")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("policies")
    write_model(repository, "plain", SLOW % "", SLOW_MODEL)
    levels = "dynamic_batching { priority_levels: 3 default_priority_level: 2 }"
    write_model(repository, "levels", SLOW % levels, SLOW_MODEL)
    full = "dynamic_batching { default_queue_policy { max_queue_size: 1 } }"
    write_model(repository, "full", SLOW % full, SLOW_MODEL)
    timed = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 100000 } }"
    write_model(repository, "timed", SLOW % timed, SLOW_MODEL)
    ordered = "dynamic_batching { preserve_ordering: true } instance_group [ { count: 2 } ]"
    write_model(repository, "ordered", SLOW % ordered, SLOW_MODEL)
    return start_server(repository)


def ask(server: ServerProcess, model: str, ms: int, **parameters: object) -> tuple[int, Any]:
    inputs = [{"name": "MS", "datatype": "INT32", "shape": [1, 1], "data": [ms]}]
    return server.json("POST", f"/v2/models/{model}/infer", {"inputs": inputs, "parameters": parameters})


class Behind:
    """Requests that come, one after the other, while the model is at work on one of `ms`."""

    def __init__(self, server: ServerProcess, model: str, ms: int) -> None:
        self.server, self.model = server, model
        self.pool = concurrent.futures.ThreadPoolExecutor(10)
        self.first = self.pool.submit(ask, server, model, ms)
        self.asked: list[concurrent.futures.Future[tuple[int, Any]]] = []
        time.sleep(0.1)

    def add(self, **parameters: object) -> None:
        before = self.waiting()
        self.asked.append(self.pool.submit(ask, self.server, self.model, 0, **parameters))
        end = time.monotonic() + 10
        while self.waiting() == before and not self.asked[-1].done() and time.monotonic() < end:
            time.sleep(0.005)

    def waiting(self) -> int:
        with urllib.request.urlopen(f"http://{self.server.metrics}/metrics") as scraped:
            text = scraped.read().decode()
        name = f'nv_inference_pending_request_count{{model="{self.model}",version="1"}} '
        return int(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name))


def place(answer: tuple[int, Any]) -> int:
    status, body = answer
    assert status == 200, body
    return int(body["outputs"][0]["data"][0])


def test_the_highest_priority_is_first(server: ServerProcess) -> None:
    behind = Behind(server, "levels", 700)
    for priority in (3, 3, 0, 1, 9, 1):
        behind.add(priority=priority)
    places = [place(each.result()) for each in behind.asked]
    assert sorted(range(6), key=places.__getitem__) == [3, 5, 2, 4, 0, 1]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(server: ServerProcess) -> None:
    behind = Behind(server, "full", 600)
    behind.add()
    body = '{"inputs":[{"name":"MS","datatype":"INT32","shape":[1,1],"data":[0]}]}'
    status, headers, answer = server.call("POST", "/v2/models/full/infer", body)
    assert not behind.first.done()
    assert (status, headers["retry-after"]) == (503, "1")
    assert b"Exceeds maximum queue size" in answer
    place(behind.first.result())
    place(behind.asked[0].result())


@pytest.mark.parametrize(("model", "parameters"), [("timed", {}), ("plain", {"timeout": 100_000})])
def test_a_time_out_is_answered_while_the_model_is_at_work(
    server: ServerProcess, model: str, parameters: dict[str, object]
) -> None:
    behind = Behind(server, model, 1500)
    behind.add(**parameters)
    status, body = behind.asked[0].result()
    assert not behind.first.done()
    assert status == 503
    assert "Request timeout expired" in body["error"]
    place(behind.first.result())


def test_a_policy_that_allows_no_own_timeout_ignores_it(server: ServerProcess) -> None:
    behind = Behind(server, "full", 400)
    behind.add(timeout=1000)
    place(behind.asked[0].result())


def test_answers_keep_the_order_of_requests_over_two_instances(server: ServerProcess) -> None:
    def one(ms: int) -> float:
        start = time.monotonic()
        ask(server, "ordered", ms)
        return time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = []
        for ms in (600, 1, 0):  # the second one fails
            asked.append(pool.submit(one, ms))
            time.sleep(0.1)
        # Those that were done at once waited for the first one's answer.
        assert all(each.result() > 0.3 for each in asked)
