"""The requests for a model of a server, encoded before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naiad.errors import InvalidArgument
from naiad.loadgen.inputs import from_file, made_up, read_shapes, specs_of
from naiad.loadgen.scenario import Distribution, Protocol, Scenario
from naiad.loadgen.target import Target, target_of
from naiad.loadgen.wire import grpc_request, http_request


def load_of(
    url: str,
    protocol: Protocol,
    model: str,
    version: str,
    batch: int,
    shape: Sequence[str],
    input_data: str,
    distribution: Distribution,
    seed: int,
) -> tuple[Scenario, Target]:
    """A closed loop of one request, to be changed. ``batch``: rows of a request; ``shape``: entries
    ``NAME:3,224``; ``input_data``: ``random``, ``zero`` or the path of a file. Raises InvalidArgument,
    Unavailable.
    """
    target = target_of(url, protocol, model, version)
    config = target.config()
    if batch > max(1, config.max_batch_size):
        raise InvalidArgument(
            f"--batch-size {batch}: the model takes at most {max(1, config.max_batch_size)}"
        )
    rows = batch if config.max_batch_size > 0 else 0
    specs = specs_of(config)
    if input_data in ("random", "zero"):
        zeros = input_data == "zero"
        requests = [made_up(specs, read_shapes(shape), rows, zeros=zeros, seed=seed)]
    else:
        requests = from_file(Path(input_data), specs, rows)
    outputs = [tensor.name for tensor in config.outputs]
    encoded = tuple(
        http_request(f"{target.host}:{target.port}", model, version, tensors, outputs)
        if protocol == "http"
        else grpc_request(model, version, tensors, outputs)
        for tensors in requests
    )
    scenario = Scenario(protocol, target.host, target.port, encoded, distribution=distribution, seed=seed)
    return scenario, target
