"""Clients that are cut off at any byte, over both protocols, while others are answered: nothing of theirs is
lost, and nothing is left of those that went. ``make soak`` cuts ten thousand each (NAIAD_CUTS).
"""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from .conftest import ServerProcess, Start, write_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "e2e"))
from sidebyside.cuts import record, run_cuts

CUTS = int(os.environ.get("NAIAD_CUTS", "300"))
ARRAY = np.arange(3000, dtype=np.float32).reshape(2, 1500)
ECHO = """
backend: "python"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
"""
ECHO_MODEL = """
import time
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.001)
        arrays = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", array)]) for array in arrays]
"""


@pytest.fixture(scope="module")
def echo(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    repository = tmp_path_factory.mktemp("cuts")
    write_model(repository, "echo", ECHO, ECHO_MODEL)
    return start_server(repository)


def over_http(port: int) -> bool:
    tensor = triton_http.InferInput("INPUT0", list(ARRAY.shape), "FP32")
    tensor.set_data_from_numpy(ARRAY)
    with triton_http.InferenceServerClient(f"127.0.0.1:{port}") as client:
        return bool(np.array_equal(client.infer("echo", [tensor]).as_numpy("OUTPUT0"), ARRAY))


def over_grpc(port: int) -> bool:
    tensor = triton_grpc.InferInput("INPUT0", list(ARRAY.shape), "FP32")
    tensor.set_data_from_numpy(ARRAY)
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
        return bool(np.array_equal(client.infer("echo", [tensor]).as_numpy("OUTPUT0"), ARRAY))


def reading(server: ServerProcess, name: str) -> int:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics") as scraped:
        lines = scraped.read().decode().splitlines()
    return int(float(next(line for line in lines if line.startswith(name + " ")).split()[-1]))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_cut_at_any_byte(echo: ServerProcess, protocol: str) -> None:
    port = int((echo.http if protocol == "http" else echo.grpc).split(":")[1])
    ask: Callable[[int], bool] = over_http if protocol == "http" else over_grpc
    said = record(port, ask)
    assert len(said) > ARRAY.nbytes
    process = psutil.Process(echo.process.pid)
    files, threads = process.num_fds(), process.num_threads()
    ledger = run_cuts(port, said, CUTS, lambda: ask(port), seed=20261127)
    print(
        f"{ledger.num_cuts} cuts over {protocol}; others: {ledger.num_right} right, {ledger.num_wrong} wrong"
    )
    assert (ledger.num_cuts, ledger.num_wrong, ledger.problems) == (CUTS, 0, [])
    assert ledger.num_right > 0
    end = time.monotonic() + 20
    names = ("naiad_open_connections", "naiad_in_flight_requests", "naiad_in_flight_bytes")
    while any(reading(echo, name) for name in names) and time.monotonic() < end:
        time.sleep(0.05)
    assert [reading(echo, name) for name in names] == [0, 0, 0]
    assert process.num_fds() <= files + 2
    assert process.num_threads() <= threads + 2
    assert threading.active_count() < 50
