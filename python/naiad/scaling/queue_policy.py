"""How many replicas the queues of models need. Serve's controller runs this: it imports nothing of naiad."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

PENDING = "naiad_pending_requests"
"""What a replica reports under this name: how many requests wait in the queues of its models."""


class Load(Protocol):
    """What the policy reads of Serve's AutoscalingContext."""

    @property
    def current_num_replicas(self) -> int: ...
    @property
    def total_num_requests(self) -> float: ...
    @property
    def aggregated_metrics(self) -> Mapping[str, Mapping[Any, float]]: ...
    @property
    def config(self) -> Any: ...


class QueuePolicy:
    """The larger of two needs: by requests under way, as Serve's own policy, and by those that wait in the
    queues of models. A model that runs 64 requests as one batch is not behind; one whose queue grows is.

    Serve applies its delays and bounds to the number that comes back.
    """

    def __init__(self, target_queue_depth: float) -> None:
        """``target_queue_depth``: so many requests may wait on each replica."""
        self._target = target_queue_depth

    def __call__(self, load: Load) -> tuple[int, dict[str, Any]]:
        waiting = sum(load.aggregated_metrics.get(PENDING, {}).values())
        by_requests = load.total_num_requests / load.config.get_target_ongoing_requests()
        return math.ceil(max(by_requests, waiting / self._target)), {}
