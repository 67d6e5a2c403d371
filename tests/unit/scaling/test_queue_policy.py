from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from naiad.scaling.queue_policy import PENDING, QueuePolicy


def load(requests: float, *waiting: float, target: float = 10.0) -> Any:
    return SimpleNamespace(
        current_num_replicas=max(1, len(waiting)),
        total_num_requests=requests,
        aggregated_metrics={PENDING: dict(enumerate(waiting))} if waiting else {},
        config=SimpleNamespace(get_target_ongoing_requests=lambda: target),
    )


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (load(0), 0),
        (load(10, 0.0), 1),
        (load(41, 0.0), 5),
        (load(20, 12.0), 3),  # 2 by requests, 3 by those that wait
        (load(20, 4.0, 5.0, 6.0), 4),  # over all replicas
        (load(20, 0.0, target=40.0), 1),
    ],
)
def test_the_larger_need_counts(now: Any, wanted: int) -> None:
    assert QueuePolicy(target_queue_depth=4)(now) == (wanted, {})


def test_it_travels_without_naiad() -> None:
    """Serve's controller may run where naiad is not installed: its module is sent along, and imports none."""
    import ast
    import inspect

    from naiad.scaling import queue_policy

    tree = ast.parse(inspect.getsource(queue_policy))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert modules and not [module for module in modules if module.startswith("naiad")]
