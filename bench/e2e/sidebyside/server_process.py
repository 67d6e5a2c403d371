"""A server under test: started by a command line, timed to ready, measured from outside, stopped in order."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from sidebyside import process_tree

_READY_STEP_S = 0.01
_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 45.0
_LOG_TAIL_BYTES = 3000


class ServerError(Exception):
    """A server that did not start, did not stay, or does not tell what it is asked."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def fill_command(template: str, repository: Path, ports: list[int]) -> list[str]:
    """The words of a command template with {repo}, {http}, {grpc} and {metrics} filled in.

    Raises ValueError when {repo}, {http} or {grpc} is not in it: another server would be measured.
    """
    for name in ("{repo}", "{http}", "{grpc}"):
        if name not in template:
            raise ValueError(f"the server command has no {name} in it: {template}")
    values = {"{repo}": str(repository)}
    values |= {name: str(port) for name, port in zip(("{http}", "{grpc}", "{metrics}"), ports, strict=True)}
    words = shlex.split(template)
    for name, value in values.items():
        words = [word.replace(name, value) for word in words]
    return words


class ServerProcess:
    """One running server; a context manager that stops it. Not thread-safe."""

    def __init__(self, label: str, template: str, repository: Path, log: Path) -> None:
        """Start the command and wait until /v2/health/ready says 200. Blocks until ready.

        Raises ServerError with the end of the server's log when it exits or is not ready in two minutes.
        """
        self.label = label
        ports = free_ports(3)
        self.http_port, self.grpc_port = ports[:2]
        words = fill_command(template, repository, ports)
        self._log = log
        # The servers are found where this Python's own scripts are, too.
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        started = time.monotonic()
        with log.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, "PATH": search},
                )
            except FileNotFoundError as error:
                raise ServerError(f"{label}: no such command: {words[0]}") from error
        try:
            self._wait_ready(started)
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - started

    def _wait_ready(self, started: float) -> None:
        while self._process.poll() is None:
            if time.monotonic() - started > _READY_TIMEOUT_S:
                raise ServerError(f"{self.label} is not ready in {_READY_TIMEOUT_S:.0f} s\n{self.log_tail()}")
            try:
                if self._get("/v2/health/ready")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(_READY_STEP_S)
        raise ServerError(f"{self.label} exited with {self._process.returncode}\n{self.log_tail()}")

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get_json(self, path: str) -> dict[str, Any]:
        """The JSON that the server answers to a GET. Raises ServerError for any other status than 200."""
        status, body = self._get(path)
        if status != 200:
            raise ServerError(f"{self.label}: GET {path} has status {status}: {body[:200]!r}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def success_count(self, model: str) -> int:
        """How many requests `model` has answered well so far, by its statistics, all versions together."""
        stats = self.get_json(f"/v2/models/{model}/stats")["model_stats"]
        return sum(int(each["inference_stats"]["success"]["count"]) for each in stats)

    def processes(self) -> list[psutil.Process]:
        """The server's process and those that it has started."""
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User + system seconds of all the server's processes so far."""
        return process_tree.cpu_seconds(self._process.pid)

    def memory(self) -> process_tree.TreeMemory:
        """The memory of all the server's processes now."""
        return process_tree.memory(self._process.pid)

    def log_tail(self) -> str:
        """The end of what the server printed."""
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def stop(self) -> int:
        """SIGTERM, and SIGKILL to its session when it stays. Blocks until it is gone; returns its status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        return self._process.returncode
