"""Servers with an engine of vLLM in them: written, started, held still while another one is measured."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil

from sidebyside.server_process import ServerError, free_ports

_READY_TIMEOUT_S = 900.0
_STOP_TIMEOUT_S = 120.0
_ENGINE_NAMES = ("VLLM::Engine", "VLLM::Worker")

MAX_MODEL_LEN = 1024
CACHE_BYTES = 1 << 30


def write_llm(repository: Path, llm: Path, *, config: str = "", **arguments: object) -> None:
    """The model `llm` of backend vllm. `llm` holds `venv` and `model`, as `make test-llm` makes them."""
    version = repository / "llm" / "1"
    version.mkdir(parents=True)
    told = {
        "model": str(llm / "model"),
        "enforce_eager": True,
        "max_model_len": MAX_MODEL_LEN,
        "kv_cache_memory_bytes": CACHE_BYTES,
    }
    (version / "model.json").write_text(json.dumps(told | arguments))
    environment = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{llm / "venv"}" }} }}'
    (repository / "llm" / "config.pbtxt").write_text(f'backend: "vllm" {environment}\n{config}\n')


class LlmServer:
    """One running server; a context manager that stops it. Not thread-safe."""

    def __init__(self, label: str, command: list[str], port: int, ready: str, log: Path) -> None:
        """Blocks until a GET of `ready` says 200. Raises ServerError when that does not come."""
        self.label = label
        self.port = port
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"VLLM_NO_USAGE_STATS": "1"},
            )
        try:
            self._wait_ready(ready, log)
        except BaseException:
            self.stop()
            raise

    @classmethod
    def naiad(cls, label: str, repository: Path, log: Path, *flags: str) -> LlmServer:
        """naiad with the models of a repository."""
        (port,) = free_ports(1)
        command = [
            sys.executable, "-m", "naiad", "serve", f"--model-repository={repository}", f"--http-port={port}",
            "--grpc-port=0", "--metrics-port=0", "--http-address=127.0.0.1", *flags,
        ]  # fmt: skip
        return cls(label, command, port, "/v2/health/ready", log)

    @classmethod
    def vllm(cls, label: str, llm: Path, log: Path) -> LlmServer:
        """vLLM's own server with the engine that `write_llm` describes."""
        (port,) = free_ports(1)
        command = [
            str(llm / "venv" / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(llm / "model"), "--served-model-name", "llm", "--enforce-eager",
            "--max-model-len", str(MAX_MODEL_LEN), "--kv-cache-memory-bytes", str(CACHE_BYTES),
            "--host", "127.0.0.1", "--port", str(port), "--disable-log-stats", "--disable-uvicorn-access-log",
        ]  # fmt: skip
        return cls(label, command, port, "/health", log)

    def __enter__(self) -> LlmServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def cpu_s(self) -> tuple[float, float]:
        """User + system seconds so far: of what stands in front of the engine, and of the engine."""
        front = engine = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
                if process.name().startswith(_ENGINE_NAMES):
                    engine += times.user + times.system
                else:
                    front += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return front, engine

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Runs within, and stands still before and after: an idle server costs the others no time."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its session when it stays. Blocks until it is gone."""
        if self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def _signal(self, number: int) -> None:
        for process in self._processes():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def _wait_ready(self, path: str, log: Path) -> None:
        end = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise ServerError(f"{self.label} ended at its start\n{log.read_text()[-3000:]}")
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.2)
        raise ServerError(f"{self.label} is not ready in {_READY_TIMEOUT_S:.0f} s\n{log.read_text()[-3000:]}")
