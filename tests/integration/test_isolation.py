"""Workers that end in every way: their own batch fails with a typed error, and nobody else notices."""

from __future__ import annotations

import os
import signal
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

import naiad

from .conftest import IDENTITY, ServerProcess, Start, lives, until, write_model

CONFIG = """
backend: "python"
max_batch_size: 0
input [ { name: "WISH" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "PID" data_type: TYPE_INT64 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: %d } ]
%s
"""

# Does what it is told; while there is a file `closed` beside it, it does not load.
MODEL = """
import os
import signal
import time
import venv

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.closed = os.path.join(args["model_repository"], "closed")
        while os.path.exists(self.closed):
            time.sleep(0.01)
        how = os.path.join(args["model_repository"], "how")
        if os.path.exists(how):
            exec(open(how).read())

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        wish = pb_utils.get_input_tensor_by_name(request, "WISH").as_numpy()[0].decode()
        if wish == "exit":
            os._exit(3)
        if wish == "hang":
            time.sleep(1000)
        if wish == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if wish == "sleep":
            time.sleep(0.05)
        return pb_utils.InferenceResponse([pb_utils.Tensor("PID", np.array([os.getpid()]))])
"""

FAILED = "model 'm': its worker %s while it ran the request"


def ask(server: ServerProcess, wish: str, model: str = "m") -> tuple[int, str, int]:
    """The status, the error and the pid of the worker."""
    inputs = [{"name": "WISH", "datatype": "BYTES", "shape": [1], "data": [wish]}]
    status, body = server.json("POST", f"/v2/models/{model}/infer", {"inputs": inputs})
    assert isinstance(body, dict)
    if status == 200:
        return status, "", body["outputs"][0]["data"][0]
    return status, body["error"], 0


def is_ready(server: ServerProcess) -> bool:
    return server.call("GET", "/v2/models/m/ready")[0] == 200


def children(pid: int) -> list[int]:
    """Of all its threads; one may end while it is looked at."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


@contextmanager
def flood(server: ServerProcess) -> Iterator[list[str]]:
    """Calls of another model all the while; the list gets what went wrong with them."""
    faults: list[str] = []
    done = threading.Event()
    count = 0

    def call() -> None:
        nonlocal count
        with triton.InferenceServerClient(server.grpc) as client:
            while not done.is_set():
                tensor = triton.InferInput("INPUT0", [1, 2], "FP32")
                tensor.set_data_from_numpy(np.array([[count, 7]], np.float32))
                try:
                    got = client.infer("other", [tensor]).as_numpy("OUTPUT0").tolist()
                    if got != [[count, 7]]:
                        faults.append(f"{count}: {got}")
                except Exception as error:
                    faults.append(str(error))
                count += 1

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield faults
    finally:
        done.set()
        thread.join()
    assert count > 0


@pytest.fixture
def serve(tmp_path: Path, start_server: Start) -> Iterator[Callable[..., ServerProcess]]:
    servers: list[ServerProcess] = []

    def start(instances: int = 1, more: str = "", ready: bool = True) -> ServerProcess:
        write_model(tmp_path, "m", CONFIG % (instances, more), MODEL)
        write_model(tmp_path, "other", IDENTITY)
        server = start_server(tmp_path, *([] if ready else ["--exit-on-error=false"]))
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.process.kill()


@pytest.mark.parametrize(
    ("wish", "how"),
    [
        ("exit", "exited with status 3"),
        ("kill", "was killed by SIGKILL"),
        ("crash", "was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_ends_fails_its_batch_and_is_started_again(
    serve: Callable[..., ServerProcess], wish: str, how: str
) -> None:
    server = serve()
    _, _, first = ask(server, "pid")
    with flood(server) as faults:
        assert ask(server, wish) == (500, FAILED % how, 0)
        status, error, second = ask(server, "pid")
    assert (status, error) == (200, "")
    assert second != first
    assert not lives(first)
    assert faults == []
    assert f"model instance 'm_0_0': its worker {how}" in server.log
    assert is_ready(server)


def test_a_worker_that_hangs_past_its_limit_is_ended(serve: Callable[..., ServerProcess]) -> None:
    server = serve(more='parameters { key: "execute_timeout_seconds" value { string_value: "0.3" } }')
    _, _, first = ask(server, "sleep")
    with flood(server) as faults:
        assert ask(server, "hang") == (500, FAILED % "took too long and was ended", 0)
        assert ask(server, "pid")[0] == 200
    assert not lives(first)
    assert faults == []


def test_readiness_says_while_no_worker_is_there(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve()
    ask(server, "pid")
    (tmp_path / "m" / "closed").touch()
    assert ask(server, "kill")[0] == 500
    until(lambda: not is_ready(server))
    assert server.call("GET", "/v2/models/other/ready")[0] == 200
    (tmp_path / "m" / "closed").unlink()
    until(lambda: is_ready(server))
    assert ask(server, "pid")[0] == 200


def test_a_worker_that_can_not_load_again_is_tried_with_pauses(
    serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve()
    ask(server, "pid")
    (tmp_path / "m" / "how").write_text("raise RuntimeError('no more')")
    assert ask(server, "kill")[0] == 500
    status, error, _ = ask(server, "pid")
    assert status == 503
    assert "model 'm': its worker is started again, after: " in error
    assert "no more" in error
    assert not is_ready(server)
    (tmp_path / "m" / "how").unlink()
    until(lambda: is_ready(server))
    assert ask(server, "pid")[0] == 200


def test_another_instance_runs_what_comes_while_one_is_started_again(
    serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve(instances=2)
    pids: set[int] = set()

    def find_both() -> bool:
        threads = [threading.Thread(target=lambda: pids.add(ask(server, "sleep")[2])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(pids) == 2

    until(find_both)
    (tmp_path / "m" / "closed").touch()
    killed = pids.pop()
    os.kill(killed, signal.SIGKILL)
    until(lambda: not lives(killed))
    # What the dead one may have taken before its end was seen; nothing after that.
    until(lambda: "was killed by SIGKILL" in server.log)
    for _ in range(50):
        status, error, pid = ask(server, "pid")
        assert (status, error) == (200, "")
        assert {pid} == pids
    assert is_ready(server)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("os._exit(4)", "model 'm': its worker exited with status 4"),
        ("raise ValueError('no weights')", "no weights"),
        ("time.sleep(1000)", "model 'm' was not loaded in time"),
    ],
)
def test_a_model_whose_worker_does_not_load_is_not_served(
    serve: Callable[..., ServerProcess], tmp_path: Path, how: str, error: str
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "how").write_text(how)
    # The others are not to be late on a busy machine.
    seconds = 2 if "sleep" in how else 60
    limit = f'parameters {{ key: "load_timeout_seconds" value {{ string_value: "{seconds}" }} }}'
    server = serve(more=limit, ready=False)
    assert not is_ready(server)
    assert server.call("GET", "/v2/models/other/ready")[0] == 200
    _, index = server.json("POST", "/v2/repository/index", {})
    assert isinstance(index, list)
    (reason,) = [model["reason"] for model in index if model["name"] == "m"]
    assert error in reason
    assert children(server.process.pid) == []


def test_no_worker_outlives_its_server(serve: Callable[..., ServerProcess]) -> None:
    server = serve(instances=3)
    workers = children(server.process.pid)
    assert len(workers) == 3
    server.signal(signal.SIGKILL)
    server.wait()
    until(lambda: not any(lives(pid) for pid in workers))


def test_workers_that_are_killed_again_and_again_leave_nothing_behind(
    serve: Callable[..., ServerProcess],
) -> None:
    """NAIAD_KILLS (20) of them, with requests to the model and to another one all the while."""
    server = serve()
    kills = int(os.environ.get("NAIAD_KILLS", "20"))
    answers: list[tuple[int, str, int]] = []
    recoveries: list[float] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            answers.append(ask(server, "pid"))

    def held() -> tuple[int, int]:
        process = Path(f"/proc/{server.process.pid}")
        return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

    threads = [threading.Thread(target=load) for _ in range(4)]
    with flood(server) as faults:
        for thread in threads:
            thread.start()
        pid = ask(server, "pid")[2]
        at_first = (0, 0)
        for number in range(kills):
            if number == 3:
                at_first = held()
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            while (now := ask(server, "pid")[2]) in (0, pid):
                assert time.monotonic() - killed < 30
            recoveries.append(time.monotonic() - killed)
            assert not lives(pid)
            pid = now
        done.set()
        for thread in threads:
            thread.join()
        fds, tasks = held()
    assert faults == []
    assert {status for status, _, _ in answers} <= {200, 500, 503}
    errors = {error for status, error, _ in answers if status != 200}
    assert errors <= {FAILED % "was killed by SIGKILL"}
    assert fds <= at_first[0] + 4, "descriptors are left"
    assert tasks <= at_first[1] + 2, "threads are left"
    assert len(children(server.process.pid)) == 1
    recoveries.sort()
    print(
        f"{kills} kills: {len(answers)} requests, {sum(status != 200 for status, _, _ in answers)} failed; "
        f"recovery median {recoveries[len(recoveries) // 2]:.2f} s, longest {recoveries[-1]:.2f} s"
    )


# Says in which mapping of the worker its input lies.
WHERE_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = request.inputs()[0].as_numpy()
        address = x.__array_interface__["data"][0]
        for line in open("/proc/self/maps"):
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if begin <= address < end:
                found = line
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("AT", np.array([found], np.object_)), pb_utils.Tensor("Y", x)])
"""

WHERE = """
backend: "python"
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "AT" data_type: TYPE_STRING dims: [ 1 ] } ]
parameters { key: "READ_ONLY_INPUTS" value { string_value: "yes" } }
"""


def test_nothing_is_copied_between_server_and_worker(tmp_path: Path) -> None:
    """The worker reads the bytes that the server received, and the server's answer is the worker's memory."""
    write_model(tmp_path, "first", WHERE, WHERE_MODEL)
    with naiad.Server(model_repository=tmp_path, pool_bytes=64 << 20) as server:
        y = server.model("first").infer({"X": np.arange(150_000, dtype=np.float32)})
        assert y["Y"].tolist() == list(range(150_000))
        assert b"r--s" in y["AT"][0], "the worker can not write to the server's memory"
        assert b"naiad-arena" in y["AT"][0]
        inode = y["AT"][0].split()[4]
        address = y["Y"].__array_interface__["data"][0]
        (mapping,) = [
            line.split()
            for line in Path("/proc/self/maps").read_bytes().splitlines()
            if int(line.split(b"-")[0], 16) <= address < int(line.split()[0].split(b"-")[1], 16)
        ]
        assert b"naiad-arena" in b"".join(mapping)
        assert mapping[4] != inode, "the answer lies in the worker's memory, not in the server's"


def test_a_worker_runs_in_the_environment_of_its_model(tmp_path: Path) -> None:
    home = tmp_path / "env"
    venv.create(home)
    config = (
        'backend: "python" input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ] '
        'output [ { name: "PREFIX" data_type: TYPE_STRING dims: [ 1 ] } ] '
        f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{home}" }} }}'
    )
    source = """
import sys
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        prefix = pb_utils.Tensor("PREFIX", np.array([sys.prefix], np.object_))
        return [pb_utils.InferenceResponse([prefix]) for _ in requests]
"""
    write_model(tmp_path / "models", "m", config, source)
    with naiad.Server(model_repository=tmp_path / "models") as server:
        got = server.model("m").infer({"X": np.zeros(1, np.float32)})
    assert got["PREFIX"].tolist() == [str(home).encode()]
