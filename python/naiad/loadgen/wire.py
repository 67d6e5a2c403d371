"""Requests as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from naiad import protos
from naiad.errors import InvalidArgument
from naiad.loadgen.inputs import InputTensor, Place, values_of

Headers = Sequence[tuple[str, str]]

_INFER = protos.message_class("inference.ModelInferRequest")
_IN_SEQUENCE = b'"sequence_id":%20d,"sequence_start":%5s,"sequence_end":%5s'
"""Of the same length for any sequence: the lengths in the head of a request stay right."""
_IN_NO_SEQUENCE = _IN_SEQUENCE % (0, b"false", b"false")
_SWITCH = (b"false", b"true")


def http_request(
    host: str,
    model: str,
    version: str,
    inputs: Sequence[InputTensor],
    outputs: Sequence[str],
    headers: Headers = (),
    places: Mapping[str, Place] | None = None,
    *,
    sequence: bool = False,
    json_inputs: bool = False,
    json_outputs: bool = False,
) -> bytes:
    """A whole request with binary tensors both ways, as JSON, or in shared memory: inputs where they have a
    place, and outputs in ``places``. ``sequence``: one for ``http_in_sequence``. Raises InvalidArgument for
    an input that JSON has no values for.
    """
    places = places or {}
    tree = {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                **(_json_data(tensor) if json_inputs else _binary_data(tensor)),
            }
            for tensor in inputs
        ],
        "outputs": [
            {"name": name, "parameters": _in_place(places.get(name)) or {"binary_data": not json_outputs}}
            for name in outputs
        ],
    }
    head = json.dumps(tree).encode()
    if sequence:
        head = b'{"parameters":{' + _IN_NO_SEQUENCE + b"}," + head[1:]
    if json_inputs:
        return _post(host, model, version, "infer", (*headers, ("Content-Type", "application/json")), head)
    body = head + b"".join(tensor.data for tensor in inputs if tensor.place is None)
    fields = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", len(head)))
    return _post(host, model, version, "infer", (*headers, *fields), body)


def http_in_sequence(request: bytes, sequence: int, start: bool, end: bool) -> bytes:
    """A request of ``http_request`` as one of a sequence."""
    place = _IN_SEQUENCE % (sequence, _SWITCH[start], _SWITCH[end])
    return request.replace(_IN_NO_SEQUENCE, place, 1)


def generate_request(
    host: str, model: str, version: str, inputs: Sequence[InputTensor], headers: Headers = ()
) -> bytes:
    """A whole request whose responses come as events. Raises InvalidArgument for inputs of more than one
    dimension.
    """
    tree: dict[str, Any] = {}
    for tensor in inputs:
        if sum(size != 1 for size in tensor.shape) > 1:
            raise InvalidArgument(
                f"--streaming over HTTP: input '{tensor.name}' of shape {list(tensor.shape)} has more than "
                "one dimension, which generate_stream does not take; use --protocol grpc"
            )
        values = values_of(tensor)
        tree[tensor.name] = values[0] if len(values) == 1 else values
    fields = (("Content-Type", "application/json"), ("Accept", "text/event-stream"))
    return _post(host, model, version, "generate_stream", (*headers, *fields), json.dumps(tree).encode())


def grpc_request(
    model: str,
    version: str,
    inputs: Sequence[InputTensor],
    outputs: Sequence[str],
    places: Mapping[str, Place] | None = None,
) -> bytes:
    """A serialised ModelInferRequest with raw contents, or with tensors in shared memory."""
    places = places or {}
    message = _INFER(model_name=model, model_version=version)
    for tensor in inputs:
        added = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if tensor.place is None:
            message.raw_input_contents.append(tensor.data)
        _set_place(added.parameters, tensor.place)
    for name in outputs:
        _set_place(message.outputs.add(name=name).parameters, places.get(name))
    return bytes(message.SerializeToString())


def grpc_in_sequence(request: bytes, sequence: int, start: bool, end: bool) -> bytes:
    """A request of ``grpc_request`` as one of a sequence: fields may stand one behind the other."""
    return request + _sequence_fields(sequence, start, end)


@lru_cache(4096)  # those in the middle of a sequence have the same
def _sequence_fields(sequence: int, start: bool, end: bool) -> bytes:
    message = _INFER()
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    message.parameters["sequence_end"].bool_param = end
    return bytes(message.SerializeToString())


def _post(
    host: str, model: str, version: str, verb: str, headers: Sequence[tuple[str, str | int]], body: bytes
) -> bytes:
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + f"/{verb}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in (*headers, ("Content-Length", len(body))))
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode() + body


def _binary_data(tensor: InputTensor) -> dict[str, Any]:
    return {"parameters": _in_place(tensor.place) or {"binary_data_size": len(tensor.data)}}


def _json_data(tensor: InputTensor) -> dict[str, Any]:
    if tensor.datatype in ("FP16", "BF16"):
        raise InvalidArgument(
            f"--input-tensor-format json: input '{tensor.name}' is {tensor.datatype}, and JSON has no values "
            "for that"
        )
    return {"data": values_of(tensor)}


def _in_place(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    return {
        "shared_memory_region": place.region,
        "shared_memory_offset": place.offset_bytes,
        "shared_memory_byte_size": place.size_bytes,
    }


def _set_place(parameters: Any, place: Place | None) -> None:
    for name, value in _in_place(place).items():
        if isinstance(value, str):
            parameters[name].string_param = value
        else:
            parameters[name].int64_param = value
