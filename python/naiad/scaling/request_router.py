"""Which replica a request goes to: the shorter queue of two, out of all replicas; out of those that have the
model, where replicas load models on demand.

Serve's proxies run this. Clients need not say in a field what the path or the message says already.
"""

from __future__ import annotations

import hashlib
import pickletools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, RunningReplica

from naiad.scaling.model_names import model_of_message, model_of_path


class QueueRouter(PowerOfTwoChoicesRequestRouter):  # type: ignore[misc]
    """Serve's own choice, but for where it looks. Serve's looks at the replicas on the proxy's node alone
    until these take no more: with one proxy for all nodes that leaves the others without work.
    """

    def initialize_state(self, on_demand: bool = False, own_node_first: bool = False) -> None:
        """``on_demand``: replicas load models when they are asked for. ``own_node_first``: as Serve's."""
        self._on_demand = on_demand
        self._own_node_first = own_node_first

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if pending_request is not None:
            if self._on_demand and not pending_request.metadata.multiplexed_model_id:
                pending_request.metadata.multiplexed_model_id = model_of(pending_request)
            if not self._own_node_first:
                context = pending_request.routing_context
                context.tried_same_node = context.tried_same_az = True
            if self._on_demand and pending_request.metadata.multiplexed_model_id:
                return self._by_model(candidate_replicas, pending_request)
        chosen: list[list[RunningReplica]] = await super().choose_replicas(
            candidate_replicas, pending_request
        )
        return chosen

    def _by_model(
        self, replicas: Sequence[RunningReplica], request: PendingRequest
    ) -> list[list[RunningReplica]]:
        """Two of those that have the model. Where none is known to, the one of those with the fewest models
        that every router takes: those of HTTP and gRPC, and of other proxies, do not hear of each other at
        once, and the model is not to be loaded by each of them somewhere else.
        """
        model = request.metadata.multiplexed_model_id
        allowed = self.apply_multiplex_routing(pending_request=request)
        fitting = [replica for replica in replicas if replica.replica_id in allowed]
        having = [replica for replica in fitting if model in replica.multiplexed_model_ids]
        if having:
            return [random.sample(having, min(2, len(having)))]
        return [[max(fitting, key=lambda replica: weight(model, str(replica.replica_id)))]] if fitting else []


def weight(model: str, replica: str) -> bytes:
    """The replica with the largest one is a model's first choice."""
    return hashlib.blake2b(f"{model}\n{replica}".encode(), digest_size=8).digest()


def model_of(request: PendingRequest) -> str:
    """The model that a request is about; "" where it does not say."""
    packed = request.args[0] if request.args else None
    if not isinstance(packed, bytes):
        return ""
    if request.metadata.is_grpc_request:
        message = next((value for value in _values(packed) if isinstance(value, bytes)), b"")
        return model_of_message(request.metadata.call_method, message)
    values = _values(packed)
    for value in values:
        if value == "raw_path":
            path = next(values, b"")
            return model_of_path(path.decode("latin-1")) if isinstance(path, bytes) else ""
    return ""


def _values(packed: bytes) -> Iterator[Any]:
    """The strings in what a proxy has packed for a replica, in their order. They are read; nothing is run."""
    for opcode, value, _ in pickletools.genops(packed):
        if isinstance(value, (str, bytes)) and opcode.name not in ("GLOBAL", "INST"):
            yield value
