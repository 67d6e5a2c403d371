"""Tensors from and to DLPack, BF16 included, which numpy does not know.

numpy makes and takes the capsules. A BF16 tensor crosses numpy as UINT16, its bits: the type code in the
capsule's DLTensor is what differs, so it is rewritten there. Layout:
https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python.failure import TritonModelException
from naiad.engine import writable_view
from naiad.errors import InvalidArgument

CPU_DEVICE = (1, 0)
"""(kDLCPU, device id)"""
HOST_KINDS = (1, 3)
"""kDLCPU, kDLCUDAHost: pinned memory, which the CPU reads like any other."""
GPU_KINDS = (2, 13)
"""kDLCUDA, kDLCUDAManaged"""

_UINT = 1
_BFLOAT = 4

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _DLTensor(ctypes.Structure):
    """The head of an unversioned DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("type_code", ctypes.c_uint8),
        ("type_bits", ctypes.c_uint8),
        ("type_lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
    ]


_NAMES = {0: "INT", 1: "UINT", 2: "FP", _BFLOAT: "BF", 6: "BOOL"}
_WIRE_NAMES = frozenset(
    [f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)]
    + ["FP16", "FP32", "FP64", "BF16", "BOOL"]
)


@dataclass(frozen=True)
class Head:
    """What a capsule says of its tensor."""

    device: tuple[int, int]
    shape: tuple[int, ...]
    datatype: str
    """The wire name."""


def device_kind_of(capsule: Any) -> int:
    """Of DLPack's numbers. Raises InvalidArgument for what is no capsule, or one that was used."""
    try:
        return int(_head(capsule).device_type)
    except ValueError:
        raise _no_capsule() from None


def head_of(capsule: Any) -> Head:
    """Raises InvalidArgument for what is no capsule, or one that was used, or a type the protocol lacks."""
    try:
        head = _head(capsule)
    except ValueError:
        raise _no_capsule() from None
    kind = _NAMES.get(head.type_code, "")
    datatype = kind if kind == "BOOL" else f"{kind}{head.type_bits}"
    if datatype not in _WIRE_NAMES or head.type_lanes != 1:
        raise InvalidArgument(
            f"a DLPack tensor of type code {head.type_code} and {head.type_bits} bits has no datatype in the "
            "protocol"
        )
    shape = tuple(int(head.shape[index]) for index in range(head.ndim))
    return Head((int(head.device_type), int(head.device_id)), shape, datatype)


class _Capsule:
    """What ``np.from_dlpack`` wants around a capsule of the CPU."""

    def __init__(self, capsule: object) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> object:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU_DEVICE


def to_capsule(array: NDArray[Any], datatype: str) -> Any:
    """A DLPack capsule over the array's memory, without a copy. ``datatype`` is the wire name.

    The protocol cannot say that memory must not be written to: who takes it must not write to an input
    tensor.
    """
    if datatype == "BYTES":
        raise TritonModelException("DLPack does not have support for string tensors.")
    if not array.flags.writeable:
        array = writable_view(array)  # numpy exports no other to DLPack
    capsule = array.__dlpack__()
    if datatype == "BF16":
        _head(capsule).type_code = _BFLOAT
    return capsule


def from_dlpack(source: Any) -> tuple[NDArray[Any], str | None]:
    """(array without a copy, "BF16" or None for what the array's own dtype says) of a capsule, or of an
    object with ``__dlpack__``, in CPU memory.
    """
    if hasattr(source, "__dlpack__"):
        source = source.__dlpack__()
    try:
        head = _head(source)
    except ValueError:
        raise _no_capsule() from None
    head.device_type, head.device_id = CPU_DEVICE  # pinned memory is the CPU's too
    is_bfloat = head.type_code == _BFLOAT and head.type_bits == 16 and head.type_lanes == 1
    if is_bfloat:
        head.type_code = _UINT
    array: NDArray[Any] = np.from_dlpack(_Capsule(source))  # type: ignore[arg-type]
    return array, "BF16" if is_bfloat else None


def _head(capsule: object) -> _DLTensor:
    address = _capsule_pointer(capsule, b"dltensor")
    return _DLTensor.from_address(address or 0)


def _no_capsule() -> InvalidArgument:
    return InvalidArgument("expected a DLPack capsule that was not used before, or an object with __dlpack__")
