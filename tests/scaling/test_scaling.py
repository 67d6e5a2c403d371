"""More replicas when requests wait, fewer when they do not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from ..integration.conftest import GATED, GATED_MODEL, write_model
from .conftest import Deployments

FAST = ("--cpus-per-replica=0.5", "--upscale-delay-secs=0.5", "--downscale-delay-secs=2", "--max-replicas=3")


def ask(http: str) -> Any:
    with triton.InferenceServerClient(http, network_timeout=300, connection_timeout=300) as client:
        given = triton.InferInput("INPUT0", [1], "INT32")
        given.set_data_from_numpy(np.array([7], np.int32))
        return client.infer("gated", [given]).as_numpy("OUTPUT0")[0]


@contextmanager
def waiting(http: str, count: int, gate: Path) -> Iterator[list[Future[Any]]]:
    """So many requests that are under way until the gate opens."""
    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(ask, http) for _ in range(count)]
        try:
            yield futures
        finally:
            gate.touch()


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (("--target-ongoing-requests=4",), 12),
        # By requests alone 12 would be few: it is the queue of the model that counts.
        (("--target-ongoing-requests=100", "--target-queue-depth=3"), 12),
    ],
    ids=["requests", "queue"],
)
def test_replicas_come_and_go(
    deployments: Deployments, tmp_path: Path, flags: tuple[str, ...], count: int
) -> None:
    gate = tmp_path / "gate"
    write_model(tmp_path / "models", "gated", GATED.replace("@GATE@", str(gate)), GATED_MODEL)
    with deployments.serving(tmp_path / "models", *FAST, *flags):
        assert len(deployments.replicas()) == 1
        with waiting(deployments.http, count, gate) as futures:
            deployments.until_replicas(lambda found: found == 3, "no replicas came")
            assert not any(future.done() for future in futures)
        assert [future.result() for future in futures] == [7] * count
        deployments.until_replicas(lambda found: found == 1, "no replicas went")
        # Who goes finishes first: nothing failed, and what is left serves.
        assert ask(deployments.http) == 7
