"""The requests for a model of a server, encoded before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from naiad.config import ModelConfig
from naiad.errors import InvalidArgument
from naiad.loadgen.access import Access
from naiad.loadgen.inputs import InputSpec, InputTensor, Place, from_file, made_up, read_shapes, specs_of
from naiad.loadgen.scenario import Distribution, Protocol, Scenario
from naiad.loadgen.shared_memory import in_shared_memory
from naiad.loadgen.target import GrpcTarget, Target, target_of
from naiad.loadgen.wire import generate_request, grpc_request, http_request

_PLAIN = Access()


@dataclass(frozen=True)
class Form:
    """Of requests."""

    streaming: bool = False
    """Each has any number of responses."""
    sequence_length: int = 0
    """Requests of a sequence; 0: requests that stand alone."""
    first_sequence: int = 1
    """The least id."""
    shared_memory: bool = False
    """Tensors lie in memory that the server maps too."""
    output_bytes: int = 102_400
    """What there is for each output then."""
    json_inputs: bool = False
    json_outputs: bool = False


_ALONE = Form()


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
    *,
    access: Access = _PLAIN,
    form: Form = _ALONE,
    regions: ExitStack | None = None,
) -> tuple[Scenario, Target]:
    """A closed loop of one request, to be changed. ``batch``: rows of a request; ``shape``: entries
    ``NAME:3,224``; ``input_data``: ``random``, ``zero`` or the path of a file; ``regions``: closed when
    the load is over, needed where ``form`` has shared memory. Raises InvalidArgument, Unavailable.
    """
    target = target_of(url, protocol, model, version, access)
    config = target.config()
    _check(form, protocol, config)
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
    if form.streaming:
        requests = [_asking_for_a_stream(specs, tensors, rows) for tensors in requests]
    outputs = [tensor.name for tensor in config.outputs]
    places: dict[str, Place] = {}
    if form.shared_memory:
        assert regions is not None
        requests, places = regions.enter_context(
            in_shared_memory(target, requests, outputs, form.output_bytes)
        )
    scenario = Scenario(
        protocol,
        target.host,
        target.port,
        tuple(_encoded(target, form, rows, tensors, outputs, places) for tensors in requests),
        distribution=distribution,
        seed=seed,
        access=target.access,
        streaming=form.streaming,
        outputs=tuple(outputs),
        sequence_length=form.sequence_length,
        first_sequence=form.first_sequence,
    )
    return scenario, target


def _encoded(
    target: Target,
    form: Form,
    rows: int,
    tensors: Sequence[InputTensor],
    outputs: Sequence[str],
    places: dict[str, Place],
) -> bytes:
    model, version, headers = target.model, target.version, target.access.headers
    if isinstance(target, GrpcTarget):
        return grpc_request(model, version, tensors, outputs, places)
    if form.streaming:
        if rows > 1:
            raise InvalidArgument("--streaming over HTTP takes --batch-size 1; use --protocol grpc")
        return generate_request(target.address, model, version, tensors, headers)
    return http_request(
        target.address,
        model,
        version,
        tensors,
        outputs,
        headers,
        places,
        sequence=form.sequence_length > 0,
        json_inputs=form.json_inputs,
        json_outputs=form.json_outputs,
    )


def _check(form: Form, protocol: Protocol, config: ModelConfig) -> None:
    if config.decoupled and not form.streaming:
        raise InvalidArgument(
            "the model is decoupled, a request has any number of responses: `naiad bench --streaming`"
        )
    if form.streaming and form.shared_memory:
        raise InvalidArgument("--streaming and --shared-memory system do not go together")
    if form.json_inputs or form.json_outputs:
        if protocol != "http":
            raise InvalidArgument("tensors as JSON are HTTP's: --protocol http")
        if form.streaming or form.shared_memory:
            raise InvalidArgument("--streaming and --shared-memory system leave tensors no form of their own")
    if form.streaming and form.sequence_length and protocol == "http":
        raise InvalidArgument("--streaming with --sequence-length needs --protocol grpc")


def _asking_for_a_stream(
    specs: Sequence[InputSpec], tensors: list[InputTensor], rows: int
) -> list[InputTensor]:
    """Models that write text answer piece by piece where the input ``stream`` says so."""
    given = {tensor.name for tensor in tensors}
    for spec in specs:
        if spec.name == "stream" and spec.datatype == "BOOL" and spec.name not in given:
            shape = (rows, *spec.dims) if rows else spec.dims
            return [*tensors, InputTensor(spec.name, spec.datatype, shape, b"\1" * max(1, rows))]
    return tensors
