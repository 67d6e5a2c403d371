"""The same model repository on naiad and on a real Triton, side by side.

``NAIAD_TRITON`` names the executable of a Triton server, or a script that starts one with the flags it is
given; without it these tests are skipped. With ``NAIAD_PEER_TABLE`` the table of results is written to that
file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.twin_repositories import write_twins

from .models import write_identity, write_models, write_plain
from .sides import Pair, Row, Side, copy_repository, table, until

_FLAGS = ("--cache-config=local,size=1048576", "--allow-gpu-metrics=false")


_GUARDED = (
    "--http-restricted-api=model-repository,logging:admin-key=se=cret",
    "--http-restricted-api=inference:infer-key=value",
    "--grpc-restricted-protocol=model-repository,logging:admin-key=secret",
    "--grpc-restricted-protocol=inference,health:infer-key=value",
    "--metrics-config=summary_latencies=true",
    "--metrics-config=histogram_latencies=true",
    "--metrics-config=summary_quantiles=0.5:0.05,0.99:0.001",
)


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """Of the table of results."""
    rows: list[Row] = []
    yield rows
    if named := os.environ.get("NAIAD_PEER_TABLE"):
        Path(named).write_text(table(rows))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Iterator[Pair]:
    """Both with their defaults."""
    with _started(tmp_path_factory.mktemp("peers"), write_models, "plain", rows=rows) as pair:
        yield pair


@pytest.fixture(scope="session")
def guarded_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with restricted APIs, and all metrics that can be asked for."""
    with _started(tmp_path_factory.mktemp("guarded"), write_models, "plain", _GUARDED) as pair:
        yield pair


@pytest.fixture(scope="module")
def small_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same with the model ``identity`` alone."""
    with _started(tmp_path_factory.mktemp("small"), write_identity, "identity") as pair:
        yield pair


@pytest.fixture(scope="module")
def fault_pair(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Iterator[Pair]:
    """Both with their defaults, to be broken."""
    with _started(tmp_path_factory.mktemp("faults"), write_plain, "plain", rows=rows) as pair:
        yield pair


@pytest.fixture
def ending_pair(tmp_path: Path, rows: list[Row]) -> Iterator[Pair]:
    """The same, to be ended."""
    with _started(tmp_path, write_plain, "plain", rows=rows) as pair:
        yield pair


@pytest.fixture(scope="module")
def twin_pair(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Iterator[Pair]:
    """With three repositories that have models of equal names."""
    directory = tmp_path_factory.mktemp("namespaces")
    one, *others = write_twins(directory / "twins")
    flags = ("--model-namespacing=true", "--model-control-mode=explicit")
    flags += tuple(f"--model-repository={other}" for other in others)
    with _started(directory, lambda path: copy_repository(one, path), "", flags, rows=rows) as pair:
        yield pair


@contextlib.contextmanager
def _started(
    directory: Path,
    write: Callable[[Path], object],
    model: str,
    more_flags: tuple[str, ...] = (),
    *,
    rows: list[Row] | None = None,
) -> Iterator[Pair]:
    """Both servers, once ``model`` can be asked; "": once they are ready."""
    triton = os.environ.get("NAIAD_TRITON", "")
    if not triton:
        pytest.skip("NAIAD_TRITON names no Triton server to compare with")
    assert shutil.which(triton), f"NAIAD_TRITON={triton} is no executable"
    write(directory / "models")
    running: list[subprocess.Popen[bytes]] = []
    try:
        commands = {"naiad": [sys.executable, "-m", "naiad", "serve"], "triton": [triton]}
        sides = {
            name: _start(
                name,
                command,
                copy_repository(directory / "models", directory / name),
                running,
                (*_FLAGS, *more_flags),
            )
            for name, command in commands.items()
        }
        for side in sides.values():
            _wait_ready(side, model)
        yield Pair(**sides, rows=[] if rows is None else rows)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Triton does not always end when clients have broken its rules."""
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start(
    name: str,
    command: list[str],
    repository: Path,
    running: list[subprocess.Popen[bytes]],
    given: tuple[str, ...],
) -> Side:
    http, grpc, metrics = _free_ports(3)
    flags = [f"--model-repository={repository}", f"--http-port={http}", f"--grpc-port={grpc}"]
    flags += [f"--metrics-port={metrics}", *given]
    with (repository.parent / f"{name}.log").open("wb") as log:
        running.append(subprocess.Popen([*command, *flags], stdout=log, stderr=log))
    urls = (f"127.0.0.1:{port}" for port in (http, grpc, metrics))
    return Side(name, repository, *urls)


def _wait_ready(side: Side, model: str) -> None:
    def ready() -> bool:
        try:
            if model:
                side.waiting(model)
            with urllib.request.urlopen(f"http://{side.http}/v2/health/ready") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    until(ready, f"{side.name} is ready (log: {side.repository}.log)")


def _free_ports(count: int) -> list[int]:
    """Held together, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
