"""A server of its own for each candidate: one that dies, or takes all memory, is that candidate's failure."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psutil

from naiad.errors import InvalidArgument, Unavailable
from naiad.planning.memory_use import LEAST_GPU_BYTES, gpu_used_bytes, host_used_bytes

_STARTED = re.compile(r"Started HTTPService at 127\.0\.0\.1:(\d+)")
_START_S = 60.0
_STOP_S = 15.0
_LAST_LINES = 20


class ChildServer:
    """``naiad serve`` on a free port of this machine, with no model yet. One thread."""

    def __init__(self, paths: Sequence[Path], load_timeout_s: float) -> None:
        command = [
            *(sys.executable, "-m", "naiad", "serve", *map(str, paths)),
            *("--model-control-mode=explicit", "--console=log", "--http-address=127.0.0.1", "--http-port=0"),
            *("--allow-grpc=false", "--allow-metrics=false", "--exit-timeout-secs=5"),
        ]
        self._load_timeout_s = load_timeout_s
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        ports: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self._follow, args=(ports,), daemon=True).start()
        try:
            self._port = ports.get(timeout=_START_S)
        except queue.Empty:
            self._port = 0
        if self._port == 0:
            self.close()
            raise Unavailable(f"a server did not start: {self._last_words()}")
        self._empty_host_bytes = host_used_bytes(self._process.pid)
        self._empty_gpu_bytes = gpu_used_bytes()

    @property
    def url(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    def load(self, model: str, config: Any = None) -> None:
        """With this configuration in place of its own (JSON). Raises InvalidArgument with the server's words,
        Unavailable where the server has died.
        """
        body = {} if config is None else {"parameters": {"config": json.dumps(config)}}
        self._ask("POST", f"/v2/repository/models/{quote(model)}/load", body)

    def config(self, model: str) -> Any:
        """As it runs."""
        return json.loads(self._ask("GET", f"/v2/models/{quote(model)}/config"))

    def memory_bytes(self) -> int:
        """What the models take now: of GPUs, or of main memory where none is on a GPU."""
        on_gpu = gpu_used_bytes() - self._empty_gpu_bytes
        if on_gpu >= LEAST_GPU_BYTES:
            return on_gpu
        return max(0, host_used_bytes(self._process.pid) - self._empty_host_bytes)

    def close(self) -> None:
        """Ends it, and what it has started."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._load_timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            words = self._last_words() if self._process.poll() is not None else str(error)
            raise Unavailable(f"the server does not answer: {words}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise InvalidArgument(_sentence(answer))
        return answer

    def _follow(self, ports: queue.Queue[int]) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line)
            if found := _STARTED.search(line):
                ports.put(int(found[1]))
        ports.put(0)

    def _last_words(self) -> str:
        return self._lines[-1].strip() if self._lines else "it said nothing"


def _sentence(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer[:300].decode(errors="replace")
