"""Answers that servers share by a real Redis."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerProcess, Start, until, write_model

redis = pytest.importorskip("redis", reason="the client library redis is not installed")

KEPT = """
backend: "python"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_INT32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 2 ] }, { name: "T" data_type: TYPE_STRING dims: [ 1 ] } ]
response_cache { enable: true }
"""

KEPT_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(each, "X").as_numpy()) for each in requests]

    def answer(self, x):
        text = np.array([["%d" % x.sum()]] * len(x), dtype=np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("Y", x * FACTOR), pb_utils.Tensor("T", text)])
"""

TWICE = """
platform: "ensemble"
max_batch_size: 4
input [ { name: "X" data_type: TYPE_INT32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_INT32 dims: [ 2 ] } ]
response_cache { enable: true }
ensemble_scheduling { step [ { model_name: "kept" model_version: -1
  input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } } ] }
"""


class RedisServer:
    """A redis-server of its own, on a free port, that keeps nothing on disk."""

    def __init__(self, *flags: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.flags = flags
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen([*command, *self.flags], stdout=subprocess.DEVNULL)
        until(self._listens, "redis-server listens")
        return self.process

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port)):
                return True
        except OSError:
            return False

    def client(self, **more: Any) -> Any:
        return redis.Redis(port=self.port, **more)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def store() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer()
    yield server
    server.stop()


def repository(path: Path, factor: int = 2) -> Path:
    write_model(path, "kept", KEPT, KEPT_MODEL.replace("FACTOR", str(factor)))
    write_model(path, "twice", TWICE)
    return path


def ask(server: ServerProcess, *values: int, model: str = "kept") -> tuple[list[int], list[str]]:
    inputs = [{"name": "X", "datatype": "INT32", "shape": [1, 2], "data": values}]
    status, body = server.json("POST", f"/v2/models/{model}/infer", {"inputs": inputs})
    assert status == 200, body
    outputs: dict[str, Any] = {each["name"]: each["data"] for each in body["outputs"]}  # type: ignore[index,call-overload]
    return outputs["Y"], outputs.get("T", [])


def counts(server: ServerProcess, model: str = "kept") -> tuple[int, int, int]:
    """Hits, misses, and what the model ran."""
    _, body = server.json("GET", f"/v2/models/{model}/stats")
    stats: Any = body["model_stats"][0]  # type: ignore[index,call-overload]
    inference = stats["inference_stats"]
    return (
        inference["cache_hit"]["count"],
        inference["cache_miss"]["count"],
        stats.get("inference_count", 0),
    )


def metric(server: ServerProcess, name: str) -> int:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics") as scraped:
        text = scraped.read().decode()
    line = next(line for line in text.splitlines() if line.startswith(name + " "))
    return int(line.removeprefix(name))


def kept(store: RedisServer) -> int:
    return sum(1 for _ in store.client().scan_iter("naiad:answer:*"))


def test_servers_share_what_they_have_answered(
    start_server: Start, store: RedisServer, tmp_path: Path
) -> None:
    flags = ("--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}")
    first = start_server(repository(tmp_path / "first"), *flags)
    assert ask(first, 3, 4) == ([6, 8], ["7"])
    assert ask(first, 1, 1, model="twice")[0] == [2, 2]
    until(lambda: kept(store) == 3, "all are kept")
    assert counts(first) == (0, 2, 2)
    second = start_server(repository(tmp_path / "second"), *flags, "--cache-config=local,size=100000")
    assert ask(second, 3, 4) == ([6, 8], ["7"])
    assert counts(second) == (1, 0, 0)
    assert ask(second, 1, 1, model="twice")[0] == [2, 2]
    assert counts(second, "twice") == (1, 0, 0)
    store.stop()
    assert ask(second, 3, 4) == ([6, 8], ["7"])  # it is in memory too
    assert counts(second) == (2, 0, 0)


def test_another_model_of_that_name_has_answers_of_its_own(
    start_server: Start, store: RedisServer, tmp_path: Path
) -> None:
    flags = ("--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}")
    first = start_server(repository(tmp_path / "first"), *flags)
    assert ask(first, 3, 4)[0] == [6, 8]
    assert ask(first, 3, 4, model="twice")[0] == [6, 8]
    until(lambda: kept(store) == 3, "all are kept")  # of the step Y alone was wanted
    second = start_server(repository(tmp_path / "second", factor=10), *flags)
    assert ask(second, 3, 4)[0] == [30, 40]
    assert ask(second, 3, 4, model="twice")[0] == [30, 40]


def test_a_redis_that_goes_and_comes_again(start_server: Start, store: RedisServer, tmp_path: Path) -> None:
    flags = ("--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}")
    server = start_server(repository(tmp_path / "models"), *flags)
    ask(server, 1, 2)
    until(lambda: kept(store) == 1, "it is kept")
    store.stop()
    for value in range(20):
        assert ask(server, 1, value)[0] == [2, 2 * value]
    assert counts(server)[0] == 0
    assert metric(server, "naiad_response_store_failures") >= 1
    assert metric(server, "naiad_response_store_skipped_lookups") >= 1
    assert server.log.count("fails, its answers are misses") == 1
    store.start()

    def hits() -> bool:
        ask(server, 5, 5)
        return counts(server)[0] > 0

    until(hits, "what is asked again is a hit again")
    until(lambda: "answers again" in server.log, "and the log says so")


def test_a_redis_that_hangs(start_server: Start, store: RedisServer, tmp_path: Path) -> None:
    flags = ["--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}"]
    server = start_server(repository(tmp_path / "models"), *flags, "--cache-config=redis,socket_timeout=50")
    store.process.send_signal(signal.SIGSTOP)
    for value in range(5):
        assert ask(server, 1, value)[0] == [2, 2 * value]
    assert counts(server) == (0, 5, 5)
    assert metric(server, "naiad_response_store_failures") >= 1


def test_what_is_no_entry_is_a_miss(start_server: Start, store: RedisServer, tmp_path: Path) -> None:
    flags = ("--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}")
    server = start_server(repository(tmp_path / "models"), *flags)
    ask(server, 3, 4)
    until(lambda: kept(store) == 1, "it is kept")
    client = store.client()
    (key,) = client.scan_iter("naiad:answer:*")
    entry = client.get(key)
    client.set(key, entry[:50] + bytes([entry[50] ^ 1]) + entry[51:])
    assert ask(server, 3, 4)[0] == [6, 8]
    assert counts(server) == (0, 2, 2)
    assert metric(server, "naiad_response_store_spoiled_entries") == 1


def test_a_password_from_the_environment(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    store = RedisServer("--requirepass", "open")
    try:
        flags = ("--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={store.port}")
        monkeypatch.setenv("TRITONCACHE_REDIS_PASSWORD", "open")
        server = start_server(repository(tmp_path / "models"), *flags)
        ask(server, 3, 4)
        client = store.client(password="open")
        until(lambda: any(client.scan_iter("naiad:answer:*")), "it is kept")
        monkeypatch.setenv("TRITONCACHE_REDIS_PASSWORD", "wrong")
        refused = start_server(repository(tmp_path / "others"), *flags, expect_ready=False)
        assert refused.wait() == 1
        assert "the response cache can not use Redis at 127.0.0.1:" in refused.log
    finally:
        store.stop()
