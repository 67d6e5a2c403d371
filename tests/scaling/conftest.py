"""A real Ray cluster of three nodes on this machine, and naiad on it.

They take minutes, and Ray: `make test-ray` installs it and sets ``NAIAD_RAY``. Else they are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from naiad.scaling.deploy import cluster as connected
from naiad.scaling.deploy import status

from ..integration.conftest import until

FAKE_VLLM = Path(__file__).parents[1] / "unit" / "backends" / "fake_vllm"
NODES = 3
PATIENCE_S = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What Ray itself is warned of fails no test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Of a cluster whose nodes have 3 CPUs each, and all but the first what says that it is a GPU."""
    if not os.environ.get("NAIAD_RAY"):
        pytest.skip("make test-ray runs these: they start a cluster and take minutes")
    pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 80 << 20}
    with pytest.MonkeyPatch.context() as patch:
        # Actors have the paths of the node that starts them.
        patch.setenv("PYTHONPATH", str(FAKE_VLLM))
        cluster = _started(Cluster(), memory)
        with connected(cluster.address):
            yield cluster.address
        cluster.shutdown()


def _started(cluster: Any, memory: dict[str, int]) -> Any:
    _add_node(cluster, num_cpus=3, num_gpus=0, include_dashboard=False, **memory)
    for _ in range(NODES - 1):
        _add_node(cluster, num_cpus=3, num_gpus=1, **memory)
    return cluster


def _add_node(cluster: Any, **arguments: Any) -> None:
    # Ray gives a node 30 s to start, which a busy machine may need more of.
    for tries_left in (2, 1, 0):
        try:
            cluster.add_node(**arguments)
            return
        except Exception as error:
            if tries_left == 0 or "timed out during startup" not in str(error):
                raise


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Deployments:
    """``naiad ray`` on one cluster. Serve has its ports from the first deployment on."""

    cluster: str
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def run(self, *words: str, patience_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """``naiad ray WORDS``."""
        command = [sys.executable, "-m", "naiad", "ray", *words, f"--cluster={self.cluster}"]
        environment = os.environ | {"COLUMNS": "400"}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=patience_s, env=environment, check=False
        )

    def deploy(self, repository: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        # One proxy: all nodes of this cluster have the same address.
        ports = [f"--http-port={self.http_port}", f"--grpc-port={self.grpc_port}", "--proxies=HeadOnly"]
        return self.run("deploy", str(repository), *ports, *flags)

    @contextmanager
    def serving(self, repository: Path, *flags: str) -> Iterator[None]:
        done = self.deploy(repository, *flags)
        try:
            assert done.returncode == 0, done.stderr
            yield
        finally:
            self.run("shutdown")

    def replicas(self) -> list[dict[str, str]]:
        """Those that run. Not by the command, which takes a while to connect each time."""
        application = status()["applications"]["naiad"]
        return [replica for replica in application["replicas"] if replica["state"] == "RUNNING"]

    def until_replicas(self, right: Any, what: str) -> None:
        """``right``: asked how many run."""
        until(lambda: right(len(self.replicas())), what, patience_s=PATIENCE_S)


@pytest.fixture(scope="session")
def deployments(ray_address: str) -> Iterator[Deployments]:
    made = Deployments(ray_address)
    yield made
    made.run("shutdown", "--all")
