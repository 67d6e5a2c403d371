"""Tensors of torch from and to the core's memory, by DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from naiad.backends.python import dlpack
from naiad.errors import BackendError, InvalidArgument

DATATYPES: dict[torch.dtype, str] = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.float32: "FP32",
    torch.float64: "FP64",
    torch.bfloat16: "BF16",
}
"""torch's type -> wire name."""


def dtype_of(datatype: str) -> torch.dtype:
    """torch's type of a wire name that is not BYTES."""
    return next(dtype for dtype, name in DATATYPES.items() if name == datatype)


def view_of(array: NDArray[Any], datatype: str) -> torch.Tensor:
    """A tensor over the array's memory, without a copy. Who gets one of a read-only array must not write."""
    tensor: torch.Tensor = torch.from_dlpack(dlpack.to_capsule(array, datatype))
    return tensor


def tensor_over(memory: Any, datatype: str) -> torch.Tensor:
    """``view_of`` an array, or a tensor over memory of a GPU (``GpuTensor``)."""
    if isinstance(memory, np.ndarray):
        return view_of(memory, datatype)
    tensor: torch.Tensor = torch.from_dlpack(memory)
    return tensor


def strings_of(name: str, array: NDArray[Any]) -> list[str]:
    """The texts of a BYTES tensor of one dimension, besides those of size 1. Raises InvalidArgument."""
    if sum(size != 1 for size in array.shape) > 1:
        raise InvalidArgument(
            f"input '{name}' has shape {list(array.shape)}: a list of strings has one dimension"
        )
    try:
        return [text.decode() for text in array.flat]
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"input '{name}' holds bytes that are no UTF-8: {error.reason}") from None


def scalar_of(name: str, array: NDArray[Any], kind: str) -> int | float | bool:
    """The one number of an input, which all rows of a batch must share. Raises InvalidArgument."""
    if array.size == 0 or (array.size > 1 and not bool((array == array.flat[0]).all())):
        raise InvalidArgument(
            f"input '{name}' goes to an argument of type {kind}: it must be one number, the same for all "
            f"requests of a batch, got shape {list(array.shape)}"
        )
    number = array.flat[0].item()
    if kind == "bool":
        return bool(number)
    return int(number) if kind == "int" else float(number)


def array_of_strings(value: list[str], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """``shape``: of the output, where -1 is any size. Raises BackendError."""
    array = np.empty(len(value), dtype=np.object_)
    array[:] = value
    free = [place for place, size in enumerate(shape) if size == -1]
    sizes = [1 if size == -1 and place != free[0] else size for place, size in enumerate(shape)]
    try:
        return array.reshape(sizes)
    except ValueError:
        raise BackendError(
            f"output '{name}' is a list of {len(value)} strings, which does not fit {list(shape)}"
        ) from None
