"""Faults beside traffic: each request of the ledger ends once, right or with an error that names the fault;
those that have nothing to do with it are right.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import IDENTITY, STARTED, ServerProcess, Start, infer_request, lives, until, write_model
from .ledger.models import write_ledger_models
from .ledger.traffic import STEADY_GRPC, STEADY_HTTP, Traffic
from .ledger.verdict import nothing, worker_killed
from .test_isolation import children

SEED = int(os.environ.get("NAIAD_SEED", "20261128"))
KILLS = int(os.environ.get("NAIAD_KILLS", "6"))
# Of models that have no process of their own.
NATIVE_HTTP = {"infer_json": 4, "infer_binary": 3}
NATIVE_GRPC = {"infer": 4, "streamed": 2}
MODELS = ("identity", "sums", "worker", "repeat")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults")
    write_ledger_models(path)
    write_model(path, "changing", IDENTITY)
    return path


@pytest.fixture(scope="module")
def served(start_server: Start, repository: Path) -> ServerProcess:
    loads = [f"--load-model={name}" for name in MODELS]
    return start_server(repository, "--model-control-mode=explicit", *loads)


@contextmanager
def beside(server: ServerProcess, *, worker: bool = True) -> Iterator[Traffic]:
    """Traffic all the while; in the end its ledger is checked. Without ``worker``, of native models alone."""
    traffic = Traffic(
        server.http,
        server.grpc,
        seed=SEED,
        clients=6,
        allowed=worker_killed if worker else nothing,
        http_mix=STEADY_HTTP if worker else NATIVE_HTTP,
        grpc_mix=STEADY_GRPC if worker else NATIVE_GRPC,
    )
    with traffic:
        traffic.until(100)
        yield traffic
        traffic.until(traffic.ledger.size + 100)
    print(traffic.ledger, dict(traffic.ledger.errors))
    traffic.ledger.check()


def control(server: ServerProcess, what: str, name: str) -> tuple[int, object]:
    return server.json("POST", f"/v2/repository/models/{name}/{what}")


def is_ready(server: ServerProcess, name: str) -> bool:
    return server.call("GET", f"/v2/models/{name}/ready")[0] == 200


def is_steady(server: ServerProcess) -> bool:
    """Whether both workers are back: one that is not may be given a request."""
    request = infer_request(1.0)
    answers = [server.json("POST", "/v2/models/worker/infer", request)[0] for _ in range(20)]
    return len(workers(server, "worker_0")) == 2 and set(answers) == {200}


def workers(server: ServerProcess, instance: str = "") -> list[int]:
    """Their processes, by the name of their instance."""
    found: list[int] = []
    for pid in children(server.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if instance in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


@pytest.mark.timeout(120 if KILLS < 50 else 1200)
def test_killed_workers(served: ServerProcess) -> None:
    """What they had is told so; nothing else is noticed, and each is replaced."""
    draw = random.Random(SEED)
    with beside(served) as traffic:
        for _ in range(KILLS):
            killed = draw.choice(workers(served, "worker_0"))
            os.kill(killed, draw.choice((signal.SIGKILL, signal.SIGABRT)))
            while lives(killed):
                time.sleep(0.01)
            # One that is killed before it has served is started again with pauses.
            until(lambda: is_steady(served))
    assert traffic.ledger.rights["worker"] > 0 and traffic.ledger.rights["identity"] > 0


def test_a_worker_that_stands_still(served: ServerProcess) -> None:
    """Its requests wait, others do not; when it goes on they are answered."""
    pids = workers(served, "worker_0")
    with beside(served, worker=False) as others:
        stopped = Traffic(
            served.http,
            served.grpc,
            seed=SEED,
            clients=4,
            http_mix={"infer_worker": 1},
            grpc_mix={"infer_worker": 1},
        )
        with stopped:
            stopped.until(20)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            others.until(others.ledger.size + 200)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        stopped.ledger.check()
    assert stopped.ledger.rights["worker"] >= 20


def test_a_reload_that_fails(served: ServerProcess, repository: Path) -> None:
    """The version that is served goes on being served."""
    path = repository / "identity" / "config.pbtxt"
    whole = path.read_text()
    with beside(served, worker=False):
        for broken in ('backend: "no_such_backend"', "input [", whole.replace("FP32", "FP99")):
            path.write_text(broken)
            status, body = control(served, "load", "identity")
            assert status >= 400 and isinstance(body, dict) and body["error"], (broken, body)
            assert str(repository) not in body["error"]
            assert is_ready(served, "identity")
        path.write_text(whole)
        assert control(served, "load", "identity")[0] == 200


def test_loads_and_unloads_from_all_sides(served: ServerProcess) -> None:
    """One after the other for each model: the last word holds."""
    said: list[int] = []

    def change(draw: random.Random) -> None:
        for _ in range(15):
            said.append(control(served, draw.choice(("load", "unload")), "changing")[0])
            said.append(served.json("POST", "/v2/models/changing/infer", infer_request(1.0))[0])

    with beside(served, worker=False):
        threads = [threading.Thread(target=change, args=(random.Random(k),)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(said) <= {200, 400, 404, 503}
        assert said.count(200) > 15
        assert control(served, "load", "changing")[0] == 200
        assert served.json("POST", "/v2/models/changing/infer", infer_request(1.0))[0] == 200
        assert control(served, "unload", "changing")[0] == 200
        until(lambda: not is_ready(served, "changing"))


def test_files_that_take_no_more(repository: Path, tmp_path: Path) -> None:
    """What can not be written of logs and traces is lost; requests are not."""
    log, traces = tmp_path / "log", tmp_path / "traces"
    command = [
        sys.executable, "-m", "naiad", "serve", f"--model-repository={repository}", "--http-port=0",
        "--grpc-port=0", "--metrics-port=0", f"--log-file={log}", "--log-access=true",
        "--trace-config=level=TIMESTAMPS", "--trace-config=rate=1", f"--trace-config=triton,file={traces}",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            until(lambda: log.exists() and len(STARTED.findall(log.read_text())) == 3)
            ports = {name: int(port) for name, port in STARTED.findall(log.read_text())}
            server = ServerProcess(process, ports=ports)
            until(lambda: server.json("POST", "/v2/models/identity/infer", infer_request(1.0))[0] == 200)
            # As on a full disk, each write fails from now on.
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
            with beside(server, worker=False) as traffic:
                traffic.until(1000)
        finally:
            process.terminate()
    assert process.returncode == 0


def test_no_descriptors(start_server: Start, repository: Path) -> None:
    """Connections beyond what the system gives are turned away at once; who is connected is served, and when
    there are some again all are."""
    server = start_server(repository)
    assert server.json("POST", "/v2/models/worker/infer", infer_request(1.0))[0] == 200
    process = Path(f"/proc/{server.process.pid}/fd")
    kept = server.connect()
    kept.request("GET", "/v2/health/ready")
    assert kept.getresponse().read() == b""
    room = len(list(process.iterdir())) + 20
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (room, hard))
    host, _, port = server.http.rpartition(":")
    with beside(server, worker=False):
        crowd = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
        until(lambda: "Too many open files" in server.log)
        for _ in range(20):
            kept.request("POST", "/v2/models/identity/infer", '{"inputs":[]}')
            assert kept.getresponse().read()
        for connection in crowd:
            connection.close()
    kept.close()

    def answers() -> bool:
        try:
            return server.call("GET", "/v2/health/live")[0] == 200
        except OSError:
            return False

    until(answers)
    assert "Traceback" not in server.log
