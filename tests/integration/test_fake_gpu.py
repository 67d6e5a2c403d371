"""The whole server over a stand-in for two GPUs: tests/fake_gpu puts it in the place of the core's own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from .conftest import ServerProcess, Start, until, write_model
from .test_metrics import sample, scrape

OVERLAY = Path(__file__).parents[1] / "fake_gpu"
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(OVERLAY), *filter(None, [os.environ.get("PYTHONPATH")])])}

TENSORS = """
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
"""
IDENTITY = f'backend: "identity" {TENSORS}'

CHAIN = """
platform: "ensemble" max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling { step [
  { model_name: "first" model_version: -1
    input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "between" } },
  { model_name: "first" model_version: -1
    input_map { key: "INPUT0" value: "between" } output_map { key: "OUTPUT0" value: "OUTPUT0" } }
] }
"""

PROBE = """
backend: "python" max_batch_size: 0
input [ { name: "ASKED" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "TOLD" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
parameters { key: "isolation" value { string_value: "thread" } }
"""

# Calls a function of _fake_gpu in the process of the server.
PROBE_MODEL = """
import json

import _fake_gpu
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        asked = pb_utils.get_input_tensor_by_name(request, "ASKED").as_numpy()[0]
        name, *arguments = json.loads(asked)
        told = json.dumps(getattr(_fake_gpu, name)(*arguments))
        return pb_utils.InferenceResponse([pb_utils.Tensor("TOLD", np.array([told], np.object_))])
"""

Ask = Callable[..., Any]


def on(group: str) -> str:
    return IDENTITY + f"instance_group [ {{ {group} }} ]"


def ask_of(server: ServerProcess) -> Ask:
    """Calls a function of ``_fake_gpu`` there."""

    def ask(name: str, *arguments: object) -> Any:
        tensor = {
            "name": "ASKED", "shape": [1], "datatype": "BYTES", "data": [json.dumps([name, *arguments])]
        }  # fmt: skip
        status, answer = server.json("POST", "/v2/models/probe/infer", {"inputs": [tensor]})
        assert status == 200, answer
        assert isinstance(answer, dict)
        return json.loads(answer["outputs"][0]["data"][0])

    return ask


@pytest.fixture(scope="module")
def on_gpus(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    path = tmp_path_factory.mktemp("models")
    write_model(path, "probe", PROBE, PROBE_MODEL)
    write_model(path, "both", on("kind: KIND_GPU gpus: [ 0, 1 ]"))
    write_model(path, "first", on("kind: KIND_GPU gpus: [ 0 ]"))
    write_model(path, "found", on("kind: KIND_AUTO"))
    write_model(path, "host", on("kind: KIND_CPU"))
    bounded = """parameters { key: "gpu_memory_limit_bytes" value { string_value: "1048576" } }"""
    write_model(path, "bounded", on("kind: KIND_GPU gpus: [ 0 ]") + bounded)
    write_model(path, "chain", CHAIN)
    write_model(path, "missing", on("kind: KIND_GPU gpus: [ 2 ]"))
    flags = (
        "--model-control-mode=explicit",
        "--exit-on-error=false",
        "--strict-readiness=false",
        "--allow-client-shm=true",
    )
    loaded = [f"--load-model={name}" for name in ("probe", "both", "found", "host", "bounded", "chain")]
    return start_server(path, *flags, *loaded, environment=ENVIRONMENT)


@pytest.fixture
def ask(on_gpus: ServerProcess) -> Ask:
    return ask_of(on_gpus)


def infer(server: ServerProcess, model: str, *values: float) -> tuple[int, Any]:
    tensor = {"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}
    return server.json("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]})


def answered(answer: tuple[int, Any]) -> list[float]:
    status, body = answer
    assert status == 200, body
    return list(body["outputs"][0]["data"])


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_answers_of_batches_on_both_gpus_are_right(on_gpus: ServerProcess, ask: Ask, protocol: str) -> None:
    module, address = (http_client, on_gpus.http) if protocol == "http" else (grpc_client, on_gpus.grpc)
    before = [ask("state", device) for device in (0, 1)]

    def client(seed: int) -> None:
        random = np.random.default_rng(seed)
        with module.InferenceServerClient(address) as one:
            for _ in range(20):
                rows = random.random((int(random.integers(1, 4)), 64), np.float32)
                given = module.InferInput("INPUT0", rows.shape, "FP32")
                given.set_data_from_numpy(rows)
                result = one.infer("both", [given])
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), rows)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))
    after = [ask("state", device) for device in (0, 1)]
    assert [state["faults"] for state in after] == ["", ""]
    for kind in ("copies_to_gpu", "copies_to_host"):
        # A batch has one way out; its way in may be a copy for each request.
        assert sum(state[kind] for state in after) > sum(state[kind] for state in before)
    outputs = sum(
        new["copies_to_host"] - old["copies_to_host"] for new, old in zip(after, before, strict=True)
    )
    assert 1 <= outputs <= 160


def test_one_request_is_copied_there_within_and_back(on_gpus: ServerProcess, ask: Ask) -> None:
    before, other = ask("state", 0), ask("state", 1)
    assert answered(infer(on_gpus, "first", 1, 2, 3)) == [1, 2, 3]
    after = ask("state", 0)
    assert {kind: after[kind] - before[kind] for kind in ("copies_to_gpu", "copies_to_host", "copies")} == {
        "copies_to_gpu": 1,
        "copies_to_host": 1,
        "copies": 3,
    }
    assert after["faults"] == ""
    assert ask("state", 1) == other
    assert ask("state", 0)["copies"] == after["copies"], "the probe and what is on the CPU copy nothing"
    assert answered(infer(on_gpus, "host", 4)) == [4]
    assert ask("state", 0)["copies"] == after["copies"]


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(on_gpus: ServerProcess) -> None:
    status, answer = on_gpus.json("POST", "/v2/repository/models/missing/load")
    assert status == 400
    assert isinstance(answer, dict)
    assert "invalid or unsupported gpu id 2. GPUs that can be used: 0, 1" in answer["error"]


def test_auto_takes_the_gpus(on_gpus: ServerProcess, ask: Ask) -> None:
    status, config = on_gpus.json("GET", "/v2/models/found/config")
    assert status == 200
    assert isinstance(config, dict)
    assert [(group["kind"], group["gpus"]) for group in config["instance_group"]] == [("KIND_GPU", [0, 1])]
    before = sum(ask("state", device)["copies"] for device in (0, 1))
    assert answered(infer(on_gpus, "found", 5, 6)) == [5, 6]
    assert sum(ask("state", device)["copies"] for device in (0, 1)) == before + 3


def test_nvml_and_the_core_tell_of_the_same_gpus(on_gpus: ServerProcess, ask: Ask) -> None:
    answered(infer(on_gpus, "first", 1))
    used = [ask("state", device)["allocated_bytes"] for device in (0, 1)]
    assert used[0] > 0

    def same() -> bool:
        text = scrape(on_gpus)
        return used == [
            sample(text, "nv_gpu_memory_used_bytes", gpu_uuid=f"GPU-fake-{device}") for device in (0, 1)
        ]

    until(same)


def test_a_gpu_that_fails_is_made_anew_and_each_request_is_answered_once(
    start_server: Start, tmp_path: Path
) -> None:
    write_model(tmp_path, "probe", PROBE, PROBE_MODEL)
    write_model(tmp_path, "first", on("kind: KIND_GPU gpus: [ 0 ]"))
    write_model(tmp_path, "host", on("kind: KIND_CPU"))
    server = start_server(tmp_path, environment=ENVIRONMENT)
    ask = ask_of(server)
    ask("fail_work", 0)
    status, failed = infer(server, "first", 1)
    assert status == 500
    assert "GPU failed" in failed["error"]
    # The device is broken until somebody heals it: others are unharmed.
    assert answered(infer(server, "host", 2)) == [2]
    assert server.call("GET", "/v2/health/live")[0] == 200
    ask("heal", 0)
    until(lambda: infer(server, "first", 3)[0] == 200, "the instance was not made anew")
    assert answered(infer(server, "first", 4, 5)) == [4, 5]
    assert ask("state", 0)["faults"] == ""
    assert server.process.poll() is None


def test_the_pool_s_metrics_and_what_a_model_may_have(on_gpus: ServerProcess, ask: Ask) -> None:
    del ask
    answered(infer(on_gpus, "bounded", *range(1000)))
    status, refused = infer(on_gpus, "bounded", *([0.5] * 300_000))
    assert status == 503
    assert "model 'bounded' cannot have" in refused["error"]
    assert "of the 1.0 MiB that it may have" in refused["error"]
    assert answered(infer(on_gpus, "bounded", 3)) == [3]
    text = scrape(on_gpus)
    labels = {"gpu_uuid": "GPU-fake-0", "model": "bounded", "version": "1"}
    assert sample(text, "naiad_model_gpu_pool_limit_bytes", **labels) == 1 << 20
    assert 4000 <= sample(text, "naiad_model_gpu_pool_peak_bytes", **labels) <= 1 << 20
    assert sample(text, "naiad_gpu_pool_cached_bytes", gpu_uuid="GPU-fake-0") > 0


def test_an_ensemble_s_tensors_stay_on_the_gpu_between_its_steps(on_gpus: ServerProcess, ask: Ask) -> None:
    before = ask("state", 0)
    assert answered(infer(on_gpus, "chain", 1, 2, 3)) == [1, 2, 3]
    after = ask("state", 0)
    assert after["copies_to_gpu"] - before["copies_to_gpu"] == 1
    assert after["copies_to_host"] - before["copies_to_host"] == 1
    assert after["faults"] == ""


def test_memory_is_pinned_where_there_is_a_gpu(on_gpus: ServerProcess, ask: Ask) -> None:
    answered(infer(on_gpus, "first", 1))
    assert ask("state", 0)["pinned_bytes"] > 0


def copied(ask: Ask) -> int:
    """How often between the host and a GPU."""
    states = [ask("state", device) for device in (0, 1)]
    return sum(state["copies_to_gpu"] + state["copies_to_host"] for state in states)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_inputs_and_outputs_in_cuda_shared_memory(on_gpus: ServerProcess, ask: Ask, protocol: str) -> None:
    """Of the stand-in, whose handles are names of shared memory."""
    module, address = (http_client, on_gpus.http) if protocol == "http" else (grpc_client, on_gpus.grpc)
    rows = np.arange(48, dtype=np.float32).reshape(1, 48)
    memory = SharedMemory(create=True, size=2 * rows.nbytes)
    try:
        memory.buf[: rows.nbytes] = rows.tobytes()
        handle = base64.b64encode(memory.name.encode().ljust(64, b"\0"))
        with module.InferenceServerClient(address) as client:
            with pytest.raises(Exception, match="there is no GPU 2: this machine has 2"):
                client.register_cuda_shared_memory("mine", handle, 2, 2 * rows.nbytes)
            client.register_cuda_shared_memory("mine", handle, 0, 2 * rows.nbytes)
            given = module.InferInput("INPUT0", rows.shape, "FP32")
            given.set_shared_memory("mine", rows.nbytes)
            # What a model reads and makes on a GPU does not come to the host; of an ensemble it does.
            for model, num_copies in (("first", 0), ("both", 0), ("host", 0), ("chain", 2)):
                memory.buf[rows.nbytes :] = bytes(rows.nbytes)
                before = copied(ask)
                wanted = module.InferRequestedOutput("OUTPUT0")
                wanted.set_shared_memory("mine", rows.nbytes, rows.nbytes)
                client.infer(model, [given], outputs=[wanted])
                answer = np.frombuffer(bytes(memory.buf[rows.nbytes :]), np.float32)
                np.testing.assert_array_equal(answer, rows[0])
                assert copied(ask) - before == num_copies, model
            client.unregister_cuda_shared_memory("mine")
    finally:
        memory.close()
        memory.unlink()
    assert [ask("state", device)["faults"] for device in (0, 1)] == ["", ""]


def test_a_pool_s_size_for_a_gpu_that_is_not_there_is_refused(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "first", on("kind: KIND_GPU gpus: [ 0 ]"))
    server = start_server(
        tmp_path, "--cuda-memory-pool-byte-size=2:0", expect_ready=False, environment=ENVIRONMENT
    )
    assert server.wait() != 0
    assert "--cuda-memory-pool-byte-size names GPU 2, and there are 2, counted from 0" in server.log


def test_cases_within_one_process() -> None:
    """By their own process: the stand-in is in the place of the core from its beginning."""
    cases = OVERLAY / "in_process.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60", str(cases)]
    run = subprocess.run(
        command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]


def test_models_that_go_leave_no_streams_and_no_memory_behind(start_server: Start, tmp_path: Path) -> None:
    write_model(tmp_path, "probe", PROBE, PROBE_MODEL)
    write_model(tmp_path, "first", on("kind: KIND_GPU gpus: [ 0 ] count: 2"))
    server = start_server(
        tmp_path, "--model-control-mode=explicit", "--load-model=probe", environment=ENVIRONMENT
    )
    ask = ask_of(server)
    for _ in range(3):
        assert server.json("POST", "/v2/repository/models/first/load")[0] == 200
        assert answered(infer(server, "first", *range(5000))) == list(range(5000))
        assert ask("state", 0)["streams"] == 6
        assert server.json("POST", "/v2/repository/models/first/unload")[0] == 200
        until(lambda: ask("state", 0)["streams"] == 0)
        until(lambda: ask("state", 0)["allocated_bytes"] == 0, "memory of the GPU was not given back")
    assert ask("state", 0)["faults"] == ""
