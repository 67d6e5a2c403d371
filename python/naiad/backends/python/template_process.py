"""A process that has loaded a model's code once and forks the model's workers, seen from the server."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from naiad.backends.python.worker_task import WorkerTask
from naiad.errors import BackendError, Unavailable, from_code

_log = logging.getLogger("naiad.backends.python")

_END_TIMEOUT_S = 10
_MAX_ANSWER_BYTES = 1 << 16


class Template:
    """Speaks with such a process over a socket: one question, one answer. Any thread."""

    def __init__(self, start: Callable[[int], subprocess.Popen[bytes]], name: str, timeout_s: float) -> None:
        """``start`` starts it with one end of the socket, a descriptor to inherit. Blocks until the code is
        loaded, ``timeout_s`` at most (0: any time). Raises what loading it raised, or Unavailable.
        """
        self._name = name
        self._lock = threading.Lock()
        own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = own
        with its:
            self._process = start(its.fileno())
        self._end = weakref.finalize(self, _end, own, self._process)
        own.settimeout(timeout_s or None)
        try:
            told = self._receive()
        except TimeoutError:
            self._process.kill()
            self._end()
            raise Unavailable(f"model '{name}' was not loaded in time") from None
        own.settimeout(None)
        if "error" in told:
            self._end()
            if told["kind"] == BackendError.__name__:
                raise BackendError(told["error"])
            raise from_code(told["code"], told["error"])

    def fork(self, task: WorkerTask, fds: Sequence[int]) -> int:
        """The pid of a worker with copies of these descriptors. Raises Unavailable."""
        with self._lock:
            self._send(task.encode(), fds)
            return int(self._receive()["pid"])

    def reap(self, pid: int) -> int | None:
        """How a worker has ended, as ``Popen.returncode``; None when nobody knows, because the template has
        ended too. Blocks until the worker has ended.
        """
        with self._lock:
            try:
                self._send(json.dumps({"reap": pid}).encode(), ())
                return int(self._receive()["status"])
            except Unavailable:
                return None

    def _send(self, text: bytes, fds: Sequence[int]) -> None:
        try:
            socket.send_fds(self._socket, [text], list(fds))
        except OSError:
            raise self._gone() from None

    def _receive(self) -> dict[str, Any]:
        try:
            text = self._socket.recv(_MAX_ANSWER_BYTES)
        except ConnectionError:
            text = b""
        if not text:
            raise self._gone()
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _gone(self) -> Unavailable:
        return Unavailable(f"model '{self._name}': the process that its workers are forked from has ended")


def _end(own: socket.socket, process: subprocess.Popen[bytes]) -> None:
    own.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_TIMEOUT_S)
        return
    process.kill()
    process.wait()
