"""A process that has loaded a model's code once and forks the model's workers: the process itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace

from naiad.backends.isolated import IsolatedBackend
from naiad.backends.python.worker_task import WorkerTask
from naiad.config import ModelConfig, from_dict
from naiad.engine import die_with_parent
from naiad.errors import NaiadError

_MAX_TASK_BYTES = 1 << 16
# What a worker inherits, in this order: WorkerTask.descriptors.
_NUM_FDS = 5


def run_template(
    task: WorkerTask, backend: IsolatedBackend, serve: Callable[[WorkerTask, IsolatedBackend], int]
) -> int:
    """Loads the code, then forks whenever the server asks for it, until the server is gone. Returns the exit
    status; in a forked process, that of ``serve``.
    """
    with socket.socket(fileno=task.template) as server:
        try:
            backend.preload(ModelConfig(from_dict(task.config)), task.files)
        except NaiadError as error:
            answer = {"kind": type(error).__name__, "code": error.code, "error": str(error)}
            server.send(json.dumps(answer).encode())
            return 1
        server.send(b"{}")
        while True:
            text, fds, _, _ = socket.recv_fds(server, _MAX_TASK_BYTES, _NUM_FDS)
            if not text:
                return 0
            if not fds:
                _, status = os.waitpid(json.loads(text)["reap"], 0)
                server.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
                continue
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                break
            for fd in fds:
                os.close(fd)
            server.send(json.dumps({"pid": pid}).encode())
    die_with_parent(parent)
    os.setsid()
    given = WorkerTask.decode(text)
    own = replace(given, parent=parent, config=task.config).with_descriptors(fds)
    return serve(own, backend)
