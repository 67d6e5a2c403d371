"""Tensors as the page sends and shows them: JSON, and base64 where there are many values."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python.datatypes import NUMPY_TYPES
from naiad.engine import Tensor
from naiad.errors import InvalidArgument

Json = dict[str, Any]

MAX_SHOWN_BYTES = 8 << 20
"""Of one output; what is beyond it the page does not get."""
_MAX_TEXT_CHARACTERS = 64 << 10
_MAX_TEXTS = 1000
_MAX_DIMS = 32


def read_inputs(given: object) -> dict[str, NDArray[Any]]:
    """``[{"name", "datatype", "shape", "data" or "b64"}]`` as arrays by name.

    ``data``: the values, flat or nested; ``b64``: the bytes of the tensor, little-endian and row-major, or of
    BYTES those of its one element. Raises InvalidArgument.
    """
    if not isinstance(given, list) or not all(isinstance(tensor, dict) for tensor in given):
        raise InvalidArgument("'inputs' should be an array of objects")
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in given:
        name = tensor.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidArgument("an input should have a 'name'")
        if name in inputs:
            raise InvalidArgument(f"input '{name}' is given twice")
        inputs[name] = _array(name, tensor)
    return inputs


def _array(name: str, tensor: Json) -> NDArray[Any]:
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or (datatype not in NUMPY_TYPES and datatype != "BF16"):
        raise InvalidArgument(f"input '{name}': unknown datatype '{datatype}'")
    shape = _shape(name, tensor.get("shape"))
    if "b64" in tensor:
        array = _from_bytes(name, datatype, tensor["b64"])
    else:
        array = _from_values(name, datatype, tensor.get("data"))
    if array.size != math.prod(shape):
        raise InvalidArgument(
            f"input '{name}': shape {list(shape)} takes {math.prod(shape)} values, got {array.size}"
        )
    return array.reshape(shape)


def _shape(name: str, given: object) -> tuple[int, ...]:
    if not isinstance(given, list) or len(given) > _MAX_DIMS:
        raise InvalidArgument(f"input '{name}': 'shape' should be an array of sizes")
    for size in given:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 31:
            raise InvalidArgument(f"input '{name}': a size in 'shape' should be a whole number, 0 or more")
    return tuple(given)


def _from_bytes(name: str, datatype: str, text: object) -> NDArray[Any]:
    try:
        raw = base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"input '{name}': 'b64' is not base64") from None
    if datatype == "BYTES":
        return _objects([raw])
    kind = np.dtype(np.uint16 if datatype == "BF16" else NUMPY_TYPES[datatype]).newbyteorder("<")
    if len(raw) % kind.itemsize:
        raise InvalidArgument(f"input '{name}': {len(raw)} bytes are no whole number of {datatype}")
    return np.frombuffer(raw, kind)


def _from_values(name: str, datatype: str, data: object) -> NDArray[Any]:
    values = list(_flat(data if isinstance(data, list) else [data]))
    if datatype == "BYTES":
        if not all(isinstance(value, str) for value in values):
            raise InvalidArgument(f"input '{name}': the values of BYTES should be strings")
        return _objects([value.encode(errors="surrogatepass") for value in values])
    if not all(isinstance(value, (int, float)) for value in values):
        raise InvalidArgument(f"input '{name}': the values should be numbers, for BOOL also true and false")
    try:
        if datatype == "BF16":
            # The upper half of the bits, rounded to nearest.
            bits = np.array(values, np.float32).view(np.uint32)
            return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        kind = np.dtype(NUMPY_TYPES[datatype])
        if kind.kind in "iu" and any(isinstance(value, float) and value != int(value) for value in values):
            raise InvalidArgument(f"input '{name}': the values of {datatype} should be whole numbers")
        if kind.kind in "iu":
            return np.array([int(value) for value in values], kind)
        return np.array(values, kind)
    except (OverflowError, ValueError):
        raise InvalidArgument(f"input '{name}': a value does not fit {datatype}") from None


def _flat(data: list[Any]) -> Any:
    waiting = [iter(data)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def _objects(values: list[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def show_output(tensor: Tensor) -> Json:
    """Name, datatype, shape; the values as ``texts`` (BYTES) or as ``b64``, of which ``stored`` is the form.

    ``num_left_out`` tells of values that were too many to show.
    """
    array = tensor.numpy().reshape(-1)
    shown: Json = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if tensor.datatype == "BYTES":
        texts = [bytes(value)[:_MAX_TEXT_CHARACTERS].decode(errors="replace") for value in array[:_MAX_TEXTS]]
        return shown | {"texts": texts, "num_left_out": max(0, array.size - _MAX_TEXTS)}
    if tensor.datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif tensor.datatype == "FP16":
        array = array.astype(np.float32)
    elif tensor.datatype == "BOOL":
        array = array.astype(np.uint8)
    stored = {"BF16": "FP32", "FP16": "FP32", "BOOL": "UINT8"}.get(tensor.datatype, tensor.datatype)
    taken = array[: MAX_SHOWN_BYTES // array.itemsize]
    raw = taken.astype(taken.dtype.newbyteorder("<")).tobytes()
    return shown | {
        "stored": stored,
        "b64": base64.b64encode(raw).decode(),
        "num_left_out": int(array.size - taken.size),
    }
