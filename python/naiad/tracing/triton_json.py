"""Traces in Triton's JSON form: a list of objects that belong together by their ``id``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from naiad.tracing.record import TracedTensor, TraceRecord, TraceSpan

_NUMPY = {
    "BOOL": "u1",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def write_record(record: TraceRecord) -> str:
    """The objects of one trace, separated by commas, without the brackets of the list."""
    return ",".join(
        json.dumps(item, separators=(",", ":")) for span in record.spans for item in _span_objects(span)
    )


def _span_objects(span: TraceSpan) -> list[dict[str, Any]]:
    model: dict[str, Any] = {
        "id": span.id,
        "model_name": span.model_name,
        "model_version": span.model_version,
    }
    if span.request_id:
        model["request_id"] = span.request_id
    if span.parent_id:
        model["parent_id"] = span.parent_id
    timed: list[tuple[int, dict[str, Any]]] = [
        (at_ns, {"id": span.id, "timestamps": [{"name": name, "ns": at_ns}]}) for name, at_ns in span.marks
    ]
    timed += [(tensor.at_ns, _tensor_object(span.id, tensor)) for tensor in span.tensors]
    timed.sort(key=lambda each: each[0])
    objects = [each for _, each in timed]
    # As Triton: what the request is comes before its start, behind what the protocol took.
    place = next((i for i, each in enumerate(objects) if _is_start(each)), 0)
    return [*objects[:place], model, *objects[place:]]


def _is_start(item: dict[str, Any]) -> bool:
    return any(mark["name"] == "REQUEST_START" for mark in item.get("timestamps", ()))


def _tensor_object(span_id: int, tensor: TracedTensor) -> dict[str, Any]:
    return {
        "id": span_id,
        "activity": "TENSOR_QUEUE_INPUT" if tensor.is_input else "TENSOR_BACKEND_OUTPUT",
        "tensor": {
            "name": tensor.name,
            "data": tensor_text(tensor.datatype, tensor.data),
            "shape": ",".join(str(dim) for dim in tensor.shape),
            "dtype": tensor.datatype,
        },
    }


def tensor_text(datatype: str, data: bytes) -> str:
    """The elements with commas between them; strings in quotes."""
    if datatype == "BYTES":
        return ",".join(f'"{text}"' for text in _strings(data))
    if datatype == "BF16":
        # The upper half of a 32-bit float.
        floats = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        floats = np.frombuffer(data, _NUMPY[datatype])
    return ",".join(str(value).removesuffix(".0") for value in floats)


def _strings(data: bytes) -> list[str]:
    found = []
    position = 0
    while position + 4 <= len(data):
        size = int.from_bytes(data[position : position + 4], "little")
        position += 4
        found.append(data[position : position + size].decode("utf-8", "replace"))
        position += size
    return found
