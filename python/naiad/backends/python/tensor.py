"""``pb_utils.Tensor`` and the wire form of BYTES tensors."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python import dlpack
from naiad.backends.python.datatypes import TRITON_NUMBERS, wire_name
from naiad.backends.python.device_memory import DeviceMemory, is_on_gpu
from naiad.backends.python.failure import TritonModelException
from naiad.errors import InvalidArgument

_NOTHING = np.empty(0, np.uint8)


class Tensor:
    """A named tensor: of an input, or made by the model for an output, in CPU memory or in that of a GPU.

    The arrays of input tensors stay valid as long as they live, and a model may write to them.
    """

    __slots__ = ("_array", "_datatype", "_device", "_name", "_shared")

    def __init__(self, name: str, numpy_array: NDArray[Any]) -> None:
        """Takes the array as it is. Object and string arrays become BYTES: elements that are neither bytes
        nor str are taken as their ``str``. Raises TritonModelException for other kinds.
        """
        if not isinstance(numpy_array, np.ndarray):
            raise TypeError(f"tensor '{name}': expected a numpy array, got {type(numpy_array).__name__}")
        datatype = wire_name(numpy_array)
        if datatype == "BYTES":
            numpy_array = _as_strings(numpy_array)
        elif not numpy_array.dtype.isnative:
            numpy_array = numpy_array.astype(numpy_array.dtype.newbyteorder("="))
        self._name = name
        self._datatype = datatype
        self._array = numpy_array
        self._device: DeviceMemory | None = None
        self._shared = False

    @classmethod
    def of(cls, name: str, datatype: str, array: NDArray[Any], *, shared: bool = False) -> Tensor:
        """A tensor whose wire datatype is known: of the core, or BF16 held as UINT16.

        ``shared``: the memory is not the model's alone, unless the array is writable. The first time that the
        model asks for the elements, they are copied.
        """
        tensor = cls.__new__(cls)
        tensor._name = name
        tensor._datatype = datatype
        tensor._array = array
        tensor._device = None
        tensor._shared = shared
        return tensor

    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor:
        """A tensor over the memory of a DLPack capsule or of an object with ``__dlpack__``, in CPU memory or
        in that of a GPU. The latter is copied when it leaves the model.
        """
        if is_on_gpu(tensor):
            made = Tensor.of(name, "", _NOTHING)
            made._device = DeviceMemory(tensor)
            made._datatype = made._device.datatype
            return made
        array, datatype = dlpack.from_dlpack(tensor)
        return Tensor(name, array) if datatype is None else Tensor.of(name, datatype, array)

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        """The elements; BYTES as an object array of ``bytes``. TritonModelException for BF16, and in the
        memory of a GPU.
        """
        if self._device is not None:
            raise TritonModelException("Tensor is stored in GPU and cannot be converted to NumPy.")
        if self._datatype == "BF16":
            raise TritonModelException(
                f"tensor '{self._name}' is BF16, which numpy lacks: take it with to_dlpack()"
            )
        return self._own() if self._shared else self._array

    def triton_dtype(self) -> int:
        """The TRITONSERVER_DataType number."""
        return TRITON_NUMBERS[self._datatype]

    def shape(self) -> list[int]:
        return list(self._array.shape if self._device is None else self._device.shape)

    def is_cpu(self) -> bool:
        """Whether it is in CPU memory, as inputs are unless the model asks for others."""
        return self._device is None

    def to_dlpack(self) -> Any:
        """A DLPack capsule over its memory; BF16 too. BYTES have none: TritonModelException."""
        return self.__dlpack__()

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        if self._device is not None:
            return self._device.to_dlpack(stream)
        return dlpack.to_capsule(self._own(), self._datatype)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU_DEVICE if self._device is None else self._device.device

    def _on_host(self) -> NDArray[Any]:
        """The elements as the core takes them: BF16 as UINT16. A tensor of a GPU is copied. Raises errors of
        ``naiad.errors``.
        """
        return self._array if self._device is None else self._device.on_host()

    def _own(self) -> NDArray[Any]:
        if self._shared:
            self._shared = False
            if not self._array.flags.writeable:
                self._array = self._array.copy()
        return self._array

    def __repr__(self) -> str:
        return f"Tensor('{self._name}', {self._datatype}, shape={self.shape()})"


def _as_strings(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "O":
        return array.astype(np.object_)
    if all(type(item) is bytes or type(item) is str for item in array.flat):
        return array
    strings = np.empty(array.shape, dtype=np.object_)
    flat = strings.reshape(-1)
    for index, item in enumerate(array.flat):
        flat[index] = item if isinstance(item, (bytes, str)) else str(item)
    return strings


def serialize_byte_tensor(input_tensor: NDArray[Any]) -> bytes | tuple[()] | None:
    """The wire bytes of a BYTES tensor: each element after its length in 4 bytes, little-endian.

    As in Triton, an empty tensor gives ``()`` and an array of another kind None.
    """
    if input_tensor.size == 0:
        return ()
    if input_tensor.dtype.kind not in "OS":
        return None
    parts: list[bytes] = []
    for value in input_tensor.flat:
        encoded = value if isinstance(value, bytes) else str(value).encode()
        parts.append(struct.pack("<I", len(encoded)))
        parts.append(encoded)
    return b"".join(parts)


def deserialize_bytes_tensor(encoded_tensor: bytes) -> NDArray[Any]:
    """The elements of a BYTES tensor's wire bytes, flat. Raises InvalidArgument when a length is wrong."""
    elements: list[bytes] = []
    view = memoryview(encoded_tensor)
    at = 0
    while at < len(view):
        if at + 4 > len(view):
            raise InvalidArgument(f"bytes tensor: the length of element {len(elements)} is cut off")
        (size,) = struct.unpack_from("<I", view, at)
        at += 4
        if at + size > len(view):
            raise InvalidArgument(
                f"bytes tensor: element {len(elements)} has {size} bytes, {len(view) - at} are left"
            )
        elements.append(bytes(view[at : at + size]))
        at += size
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array
