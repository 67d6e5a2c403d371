"""Worker processes of Python models: starting them, and what they ask of the server."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from naiad.backends.base import ModelFiles
from naiad.backends.python.environment import WorkerPython
from naiad.backends.python.log_level import level_of_workers
from naiad.backends.python.metric_family import RemoteMetrics
from naiad.backends.python.template_process import Template
from naiad.backends.python.worker_task import WorkerTask
from naiad.backends.services import ModelServices
from naiad.config import ModelConfig, from_dict
from naiad.errors import BackendError, ConfigError, NaiadError, Unavailable, from_code

_log = logging.getLogger("naiad.backends.python")

_COMPLETION_ERRORS = {kind.__name__: kind for kind in (BackendError, ConfigError)}
"""Those that a code alone does not tell."""


class WorkerChild:
    """A worker process, for the core. ``WorkerProcess`` of _core.pyi."""

    def __init__(self, pid: int, wait: Callable[[], int | None]) -> None:
        """``wait`` blocks until it has ended, and tells its ``returncode``."""
        self.pid = pid
        self._wait = wait

    def wait(self) -> str:
        """Blocks until it has ended; says how."""
        return how_it_ended(self._wait())


def how_it_ended(status: int | None) -> str:
    """In words: "was killed by SIGKILL", "exited with status 3"."""
    if status is None:
        return "ended with the process that it was forked from"
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


class Workers:
    """The workers of one version of a model. Any thread."""

    def __init__(
        self,
        config: ModelConfig,
        files: ModelFiles,
        python: WorkerPython,
        services: ModelServices | None,
        backend: str,
        options: Mapping[str, str],
        *,
        forks: bool = False,
        pinned_bytes: int = 0,
        load_timeout_s: float = 0,
    ) -> None:
        """``backend``: the name of that which makes the instances, and its ``options``. ``forks``: they are
        forked from a process that has loaded the model's code, ``load_timeout_s`` at most (0: any time).
        ``pinned_bytes``: what each may pin of either side's memory.
        """
        self._config = config
        self._files = files
        self._python = python
        self._backend = backend
        self._options = dict(options)
        self._pinned_bytes = pinned_bytes
        self._services = services
        self._metrics = RemoteMetrics()
        self._control: ThreadPoolExecutor | None = None
        # A process ends with the thread that has started it: this one stays.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="naiad-template") if forks else None
        self._load_timeout_s = load_timeout_s
        self._template: Template | None = None
        self._template_lock = threading.Lock()

    def start(self, fds: Mapping[str, int], instance: str, kind: str, device: int) -> WorkerChild:
        """Starts one that inherits these descriptors. Raises Unavailable."""
        task = _task(
            self._config,
            self._files,
            backend=self._backend,
            options=self._options,
            channel=dict(fds),
            instance=instance,
            device_kind=kind,
            device_id=device,
            log_level_fd=level_of_workers().fd,
            pinned_bytes=self._pinned_bytes,
        )
        if self._starter is None:
            process = _start(task, self._python, instance, task.descriptors)
            return WorkerChild(process.pid, process.wait)
        # The template has the configuration already; what is left fits into a packet.
        task = replace(task, config={})
        with self._template_lock:
            template = self._template
            if template is not None:
                try:
                    pid = template.fork(task, task.descriptors)
                    return WorkerChild(pid, lambda: template.reap(pid))
                except Unavailable:
                    self._template = None  # it has ended: another one
            made = self._template = self._load(self._starter)
            pid = made.fork(task, task.descriptors)
        return WorkerChild(pid, lambda: made.reap(pid))

    def _load(self, starter: ThreadPoolExecutor) -> Template:
        def start(fd: int) -> subprocess.Popen[bytes]:
            task = _task(self._config, self._files, backend=self._backend, options=self._options, template=fd)
            return _start(task, self._python, f"{self._files.name} template", [fd])

        def load() -> Template:
            return Template(start, self._files.name, self._load_timeout_s)

        return starter.submit(load).result()

    def ask(self, text: str, told: Callable[[str], object]) -> None:
        """Answers what a worker asks. Never blocks: what takes time is done by a thread of its own."""
        question = json.loads(text)
        what = question.pop("what")
        if what == "log":
            _write_log(**question)
        elif what in ("load", "unload"):
            if self._control is None:
                self._control = ThreadPoolExecutor(1, thread_name_prefix="naiad-worker-control")
            self._control.submit(lambda: told(self._answer(what, question)))
        else:
            told(self._answer(what, question))

    def _answer(self, what: str, question: dict[str, Any]) -> str:
        try:
            return json.dumps({"result": self._do(what, question)})
        except NaiadError as error:
            return json.dumps({"code": error.code, "error": str(error)})
        except Exception as error:
            _log.error("a worker of model '%s' asked in vain", self._files.name, exc_info=error)
            return json.dumps({"code": "INTERNAL", "error": f"{type(error).__name__}: {error}"})

    def _do(self, what: str, question: dict[str, Any]) -> Any:
        if what == "metrics":
            return self._metrics.do(**question)
        if self._services is None:
            raise Unavailable("there is no server to ask")
        if what == "is_ready":
            return self._services.is_ready(question["name"], question["version"])
        if what == "unload":
            return self._services.unload(question["name"], question["unload_dependents"])
        files = {key: base64.b64decode(value) for key, value in question["files"].items()}
        return self._services.load(question["name"], question["config"], files)


def complete_in_worker(
    config: ModelConfig,
    files: ModelFiles,
    python: WorkerPython,
    backend: str,
    options: Mapping[str, str],
) -> ModelConfig:
    """Calls the backend's ``complete`` in a process that ends with it. Raises what it raised."""
    read, write = os.pipe()
    try:
        task = _task(config, files, backend=backend, options=dict(options), result=write)
        process = _start(task, python, f"{files.name} auto-complete", [write])
    finally:
        os.close(write)
    with os.fdopen(read, "rb") as result:
        answer = result.read()
    status = process.wait()
    if not answer:
        raise BackendError(f"model '{files.name}': auto-completion {how_it_ended(status)}")
    decoded = json.loads(answer)
    if "error" in decoded:
        kind = _COMPLETION_ERRORS.get(decoded["kind"])
        raise kind(decoded["error"]) if kind else from_code(decoded["code"], decoded["error"])
    return ModelConfig(from_dict(decoded["result"]))


def _task(config: ModelConfig, files: ModelFiles, **more: Any) -> WorkerTask:
    return WorkerTask(
        parent=os.getpid(),
        config=config.to_json(),
        name=files.name,
        version=files.version,
        directory=str(files.directory),
        root=str(files.root),
        log_level=logging.getLogger("naiad").getEffectiveLevel(),
        **more,
    )


def _start(task: WorkerTask, python: WorkerPython, name: str, fds: list[int]) -> subprocess.Popen[bytes]:
    try:
        # A session of its own: a Ctrl-C is the server's.
        process = subprocess.Popen(
            python.command(name),
            stdin=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
            env=python.variables(),
        )
    except OSError as error:
        raise Unavailable(
            f"model '{task.name}': no worker process can be started: {error.strerror}"
        ) from None
    assert process.stdin is not None
    try:
        process.stdin.write(task.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already: who waits for it learns how
    return process


def _write_log(level: int, logger: str, text: str, file: str, line: int) -> None:
    log = logging.getLogger(logger)
    if log.isEnabledFor(level):
        log.handle(log.makeRecord(logger, level, file, line, "%s", (text,), None))
