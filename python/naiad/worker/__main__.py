"""``python -m naiad.worker``: started by a server, never by hand."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from naiad.backends.isolated import IsolatedBackend
from naiad.backends.python.log_level import SharedLevel
from naiad.backends.python.metric_family import serve_elsewhere
from naiad.backends.python.worker_task import WorkerTask
from naiad.backends.registry import BackendRegistry
from naiad.config import ModelConfig, from_dict
from naiad.engine import WorkerConnection, die_with_parent, python_factory
from naiad.errors import NaiadError, Unsupported
from naiad.worker.services import ServerLogHandler, WorkerServices
from naiad.worker.template import run_template

if TYPE_CHECKING:
    from naiad.engine import BatchInstance, PythonInstance


def main() -> int:
    task = WorkerTask.decode(sys.stdin.buffer.read())
    die_with_parent(task.parent)
    # The server decides when a worker ends, also where all processes of a service get the signal. A handler,
    # not SIG_IGN, which programs that the model starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    if task.template >= 0:
        logging.basicConfig(level=task.log_level, format="%(message)s")
        return run_template(task, _backend(task), _serve)
    return _serve(task, _backend(task)) if task.channel is not None else _complete(task)


def _serve(task: WorkerTask, backend: IsolatedBackend) -> int:
    connection = WorkerConnection(**task.channel or {})
    services = WorkerServices(connection)
    handler = ServerLogHandler(services)
    handler.addFilter(SharedLevel(task.log_level_fd).allows)
    logging.basicConfig(level=task.log_level, handlers=[handler], force=True)
    # The server's level may fall later; that of other packages' loggers stays, which may make much of theirs.
    logging.getLogger("naiad").setLevel(logging.DEBUG)
    serve_elsewhere(services.ask, services.tell)
    config = ModelConfig(from_dict(task.config))

    def make(_name: str, _kind: str, _device: int) -> PythonInstance | BatchInstance:
        backend.connect(services, connection.engine)
        backend.arenas = connection.arenas
        backend.pinned_limit_bytes = task.pinned_bytes
        return backend.make_instance(config, task.files, task.place)

    factory = python_factory(make)
    connection.serve(factory, task.instance, task.device_kind, task.device_id)
    return 0


def _backend(task: WorkerTask) -> IsolatedBackend:
    backend = BackendRegistry({task.backend: task.options}).get(task.backend)
    if not isinstance(backend, IsolatedBackend):
        raise Unsupported(f"backend '{task.backend}' does not run in processes of its own")
    return backend


def _complete(task: WorkerTask) -> int:
    logging.basicConfig(level=task.log_level, format="%(message)s")
    answer: dict[str, Any]
    try:
        completed = _backend(task).complete(ModelConfig(from_dict(task.config)), task.files)
        answer = {"result": completed.to_json()}
    except NaiadError as error:
        answer = {"kind": type(error).__name__, "code": error.code, "error": str(error)}
    with os.fdopen(task.result, "wb") as result:
        result.write(json.dumps(answer).encode())
    return 0


if __name__ == "__main__":
    status = main()
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    # Threads that the model has left behind must not keep the process.
    os._exit(status)
