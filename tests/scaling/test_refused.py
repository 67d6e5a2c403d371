"""What can not be deployed is said in one sentence with a next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..integration.conftest import IDENTITY, write_model
from .conftest import Deployments, free_port

SEQUENCES = IDENTITY.replace("dynamic_batching { }", "sequence_batching { }")


def test_sequences_over_several_replicas(deployments: Deployments, tmp_path: Path) -> None:
    write_model(tmp_path, "stateful", SEQUENCES)
    done = deployments.deploy(tmp_path, "--replicas=2", "--cpus-per-replica=0.5")
    assert done.returncode == 1
    assert "model 'stateful' keeps the state of sequences" in done.stderr
    assert "--replicas 1" in done.stderr and " next: " in done.stderr
    deployments.run("shutdown")


def test_a_repository_that_a_node_has_not(deployments: Deployments, tmp_path: Path) -> None:
    done = deployments.deploy(tmp_path / "elsewhere", "--cpus-per-replica=0.5")
    assert done.returncode == 1
    assert "is not on node" in done.stderr and "s3://" in done.stderr
    deployments.run("shutdown")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--cpus-per-replica=64",), "a replica needs 64 CPU, and the largest node has 3"),
        (("--gpus-per-replica=2",), "a replica needs 2 GPU, and the largest node has 1"),
        (("--llm-gpus=8",), "an engine needs 8 GPUs, and all nodes together have 2"),
        (("--target-queue-depth=2",), "--target-queue-depth needs --max-replicas"),
    ],
)
def test_what_the_cluster_has_not(
    deployments: Deployments, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    done = deployments.deploy(tmp_path, *flags)
    assert done.returncode == 2
    assert said in done.stderr and " next: " in done.stderr


def test_serve_runs_with_other_ports(deployments: Deployments, tmp_path: Path) -> None:
    write_model(tmp_path, "identity", IDENTITY)
    with deployments.serving(tmp_path):
        done = deployments.run("deploy", str(tmp_path), f"--http-port={free_port()}")
        assert done.returncode == 1
        assert f"--http-port={deployments.http_port} on this cluster" in done.stderr
        done = deployments.deploy(tmp_path, "--name=other")
        assert done.returncode == 1
        assert "application 'naiad' has the proxies of this cluster" in done.stderr
    done = deployments.run("shutdown", "--name=nobody")
    assert done.returncode == 1 and "there is no application 'nobody'" in done.stderr
