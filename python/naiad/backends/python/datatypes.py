"""Names of datatypes: in configurations (TYPE_FP32), on the wire (FP32), as numbers of Triton's C API, in
numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python.failure import TritonModelException

TRITON_NUMBERS: dict[str, int] = {
    "INVALID": 0,
    "BOOL": 1,
    "UINT8": 2,
    "UINT16": 3,
    "UINT32": 4,
    "UINT64": 5,
    "INT8": 6,
    "INT16": 7,
    "INT32": 8,
    "INT64": 9,
    "FP16": 10,
    "FP32": 11,
    "FP64": 12,
    "BYTES": 13,
    "BF16": 14,
}
"""Wire name -> TRITONSERVER_DataType, https://github.com/triton-inference-server/core tritonserver.h."""

NUMPY_TYPES: dict[str, type[Any]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""Wire name -> numpy scalar type. BF16 has none."""

_WIRE_NAMES: dict[np.dtype[Any], str] = {np.dtype(kind): wire for wire, kind in NUMPY_TYPES.items()}


def wire_name(array: NDArray[Any]) -> str:
    """The wire datatype of an array. Strings and objects are BYTES. Raises TritonModelException."""
    name = _WIRE_NAMES.get(array.dtype)
    if name is not None:
        return name
    if array.dtype.kind in "SUO":
        return "BYTES"
    native = _WIRE_NAMES.get(array.dtype.newbyteorder("="))
    if native is not None:
        return native
    raise TritonModelException(f"NumPy dtype is not supported: a tensor cannot hold '{array.dtype}'")


def triton_to_numpy_type(data_type: int) -> Any:
    """numpy's type for a TRITONSERVER_DataType number, or None: BF16 has none."""
    return _BY_NUMBER.get(int(data_type))


def numpy_to_triton_type(data_type: Any) -> int | None:
    """The TRITONSERVER_DataType number of a numpy type, or None for a type that tensors cannot have."""
    dtype = np.dtype(data_type)
    return TRITON_NUMBERS["BYTES"] if dtype.kind == "S" else _NUMBERS.get(dtype)


def triton_string_to_numpy(triton_type_string: str) -> Any:
    """numpy's type for a name of the configuration, ``TYPE_FP32``. KeyError for BF16 and what is none."""
    return TRITON_STRING_TO_NUMPY[triton_type_string]


_BY_NUMBER: dict[int, Any] = {TRITON_NUMBERS[wire]: kind for wire, kind in NUMPY_TYPES.items()}
_NUMBERS: dict[np.dtype[Any], int] = {dtype: TRITON_NUMBERS[wire] for dtype, wire in _WIRE_NAMES.items()}
TRITON_STRING_TO_NUMPY: dict[str, Any] = {
    "TYPE_STRING" if wire == "BYTES" else f"TYPE_{wire}": bool if kind is np.bool_ else kind
    for wire, kind in NUMPY_TYPES.items()
}
