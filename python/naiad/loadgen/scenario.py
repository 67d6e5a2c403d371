"""What one process of the generator does, as a line of JSON."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import Literal

from naiad.loadgen.access import Access

Protocol = Literal["http", "grpc"]
Distribution = Literal["constant", "poisson"]


@dataclass(frozen=True)
class Scenario:
    """One level of load."""

    protocol: Protocol
    host: str
    port: int
    requests: tuple[bytes, ...]
    """Taken in turns. HTTP: head and body; gRPC: ModelInferRequest. As ``wire`` makes them."""
    concurrency: int = 1
    """Closed loop: requests that are under way at any time."""
    rate: float = 0.0
    """Open loop, in requests/s, where it is above 0; ``concurrency`` then bounds what is under way."""
    distribution: Distribution = "constant"
    seed: int = 0
    start_at_s: float = 0.0
    """Of the steady clock, which all processes of a machine share: windows are counted from then on."""
    window_s: float = 1.0
    timeout_s: float = 60.0
    """Without an answer, or a further response of a stream."""
    access: Access = Access()
    streaming: bool = False
    """A request has any number of responses."""
    outputs: tuple[str, ...] = ()
    """Of the model: a response without one of them says only that a stream has ended."""
    sequence_length: int = 0
    """Requests of a sequence; 0: requests that stand alone."""
    first_sequence: int = 1
    sequence_step: int = 1
    """From one id to the next."""

    def to_json(self) -> str:
        """One line."""
        tree = asdict(self)
        tree["requests"] = [base64.b64encode(request).decode() for request in self.requests]
        return json.dumps(tree)

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """What ``to_json`` wrote."""
        tree = json.loads(text)
        tree["requests"] = tuple(base64.b64decode(request) for request in tree["requests"])
        tree["outputs"] = tuple(tree["outputs"])
        tree["access"] = Access.of_tree(tree["access"])
        return cls(**tree)
