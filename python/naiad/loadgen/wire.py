"""Requests as bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from naiad import protos
from naiad.loadgen.inputs import InputTensor

_INFER = protos.message_class("inference.ModelInferRequest")


def http_request(
    host: str, model: str, version: str, inputs: Sequence[InputTensor], outputs: Sequence[str]
) -> bytes:
    """A whole request with binary tensors both ways."""
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": tensor.name,
                    "datatype": tensor.datatype,
                    "shape": tensor.shape,
                    "parameters": {"binary_data_size": len(tensor.data)},
                }
                for tensor in inputs
            ],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs],
        }
    ).encode()
    body = head + b"".join(tensor.data for tensor in inputs)
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def grpc_request(model: str, version: str, inputs: Sequence[InputTensor], outputs: Sequence[str]) -> bytes:
    """A serialised ModelInferRequest with raw contents."""
    message = _INFER(model_name=model, model_version=version)
    for tensor in inputs:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.data)
    for name in outputs:
        message.outputs.add(name=name)
    return bytes(message.SerializeToString())
