"""The memory that an engine reads and writes, and the pinned memory between it and the requests."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.tensorrt.contracts import Context, Cuda, EngineTensor, Shape
from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.tensors import size_bytes
from naiad.errors import BackendError, InvalidArgument


@dataclass
class Slot:
    """Where one tensor of an engine lies, whatever its profile."""

    tensor: EngineTensor
    capacity: int
    address: int = 0
    """Of the device, or of the host for what lies there."""
    staging: NDArray[Any] | None = None
    """Pinned bytes; None where copies go to and from the requests' own memory. What lies on the host has them
    for its memory."""
    staging_address: int = 0


class Buffers:
    """One slot per tensor. The thread of the instance."""

    def __init__(
        self,
        cuda: Cuda,
        sizes: Iterable[tuple[EngineTensor, int]],
        *,
        pinned_inputs: bool,
        pinned_outputs: bool,
    ) -> None:
        """``sizes``: the most bytes of each tensor. Raises CudaError where there is no memory for them."""
        self._cuda = cuda
        self.slots: dict[str, Slot] = {}
        # Memory of requests, and for answers, that copies still use.
        self._kept: list[NDArray[Any]] = []
        self._fetched: dict[str, NDArray[Any]] = {}
        try:
            for tensor, size in sizes:
                pinned = pinned_inputs if tensor.is_input else pinned_outputs
                self.slots[tensor.name] = self._make(tensor, max(1, size), pinned)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees all of it, as far as the GPU still answers."""
        for slot in self.slots.values():
            self._release(slot)
        self.slots.clear()

    def bind(self, context: Context) -> None:
        """Tells a context where the tensors lie. Raises BackendError."""
        for name, slot in self.slots.items():
            if not context.set_address(name, slot.address):
                raise BackendError(f"'{name}' does not map to an input or output tensor")

    def write_values(self, name: str, values: Shape) -> None:
        """Of a shape tensor."""
        slot = self.slots[name]
        numbers = np.array(values, dtype=slot.tensor.datatype.lower()).view(np.uint8)
        if slot.staging is None or not slot.tensor.on_host:
            raise BackendError(f"shape tensor '{name}' does not lie in the memory of the host")
        if numbers.size > slot.capacity:
            raise InvalidArgument(f"shape tensor '{name}' has {len(values)} values, more than any profile")
        slot.staging[: numbers.size] = numbers

    def read_values(self, name: str, count: int) -> NDArray[Any]:
        """Of a shape tensor, when it has been computed."""
        slot = self.slots[name]
        assert slot.staging is not None
        return slot.staging[: size_bytes(slot.tensor.datatype, (count,))].view(slot.tensor.datatype.lower())

    def load(self, name: str, array: NDArray[Any], shape: Shape, stream: int) -> None:
        """Starts to copy an input. ``shape``: that of the engine's tensor, the array's own or, in a graph for
        larger ones, larger: zeros are then around it. The array lives until the stream has been waited for.
        """
        slot = self.slots[name]
        size = size_bytes(slot.tensor.datatype, shape)
        if size > slot.capacity:
            raise InvalidArgument(f"input '{name}' of shape {list(shape)} is larger than any profile allows")
        if size == 0:
            return
        if slot.staging is None:
            given = np.ascontiguousarray(array if array.shape == shape else _padded(array, shape))
            self._cuda.copy(slot.address, _address_of(given), size, stream)
            self._kept.append(given)
            return
        staged = slot.staging[:size].view(array.dtype).reshape(shape)
        if staged.size == array.size:
            staged.reshape(array.shape)[...] = array
        else:
            staged[...] = 0
            staged[corner(array.shape)] = array
        if not slot.tensor.on_host:
            self._cuda.copy(slot.address, slot.staging_address, size, stream)

    def fetch(self, name: str, size: int, stream: int) -> None:
        """Starts to copy an output to where ``result`` finds it."""
        slot = self.slots[name]
        if size > slot.capacity:
            raise BackendError(
                f"output '{name}' has {size} bytes, more than the {slot.capacity} of its place"
            )
        if size == 0 or slot.tensor.on_host:
            return
        if slot.staging is None:
            given = np.empty(size, np.uint8)
            self._fetched[name] = given
            self._cuda.copy(_address_of(given), slot.address, size, stream)
        else:
            self._cuda.copy(slot.staging_address, slot.address, size, stream)

    def result(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A fetched output, when the stream has been waited for; valid until the next batch."""
        slot = self.slots[name]
        size = math.prod(shape) * dtype.itemsize
        fetched = self._fetched.pop(name, slot.staging)
        if fetched is None or size == 0:
            return np.empty(shape, dtype)
        return fetched[:size].view(dtype).reshape(shape)

    def let_go(self) -> None:
        """What was kept for copies is not needed any more."""
        self._kept.clear()
        self._fetched.clear()

    def grow(self, name: str, size: int) -> int:
        """Makes the place of an output at least so large; what is in it is lost. Its address."""
        slot = self.slots[name]
        if size > slot.capacity:
            self.slots[name] = self._make(slot.tensor, size, slot.staging is not None)
            self._release(slot)
        return self.slots[name].address

    def _make(self, tensor: EngineTensor, size: int, pinned: bool) -> Slot:
        slot = Slot(tensor, size)
        try:
            if pinned or tensor.on_host:
                slot.staging_address = self._cuda.allocate_pinned(size)
                slot.staging = self._cuda.host_view(slot.staging_address, size)
            slot.address = slot.staging_address if tensor.on_host else self._cuda.allocate(size)
        except BaseException:
            self._release(slot)
            raise
        return slot

    def _release(self, slot: Slot) -> None:
        with suppress(CudaError):
            if slot.address and not slot.tensor.on_host:
                self._cuda.free(slot.address)
        with suppress(CudaError):
            if slot.staging_address:
                self._cuda.free_pinned(slot.staging_address)


def _address_of(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def corner(shape: Shape) -> tuple[slice, ...]:
    """What takes the first elements, so many, of every dimension."""
    return tuple(slice(size) for size in shape)


def _padded(array: NDArray[Any], shape: Shape) -> NDArray[Any]:
    if array.size == math.prod(shape):
        return array
    padded = np.zeros(shape, array.dtype)
    padded[corner(array.shape)] = array
    return padded
