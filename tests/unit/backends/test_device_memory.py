"""Tensors in the memory of a GPU, over a stand-in: arrays whose capsules say that they are there."""

from __future__ import annotations

import ctypes
import gc
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from naiad.backends.python import dlpack
from naiad.backends.python.device_memory import DeviceMemory
from naiad.backends.python.failure import TritonModelException
from naiad.backends.python.tensor import Tensor
from naiad.errors import InvalidArgument, Unsupported

Array = np.ndarray[Any, Any]


def capsule_on(kind: int, device: int, array: Array, datatype: str = "FP32") -> Any:
    capsule = dlpack.to_capsule(array, datatype)
    head = dlpack._head(capsule)
    head.device_type, head.device_id = kind, device
    return capsule


class OnGpu:
    """What a framework's tensor on GPU 1 offers."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.streams: list[Any] = []

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        self.streams.append(stream)
        return capsule_on(2, 1, self.array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 1


class Detached:
    """What torch's tensors do on their way to numpy."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def detach(self) -> Detached:
        return self

    def cpu(self) -> Detached:
        return self

    def contiguous(self) -> Array:
        return self._array


class Framework:
    """The part of torch that copies tensors to the host."""

    def __init__(self) -> None:
        self.copied: list[tuple[int, int]] = []

    def from_dlpack(self, source: Any) -> Detached:
        self.copied.append(source.__dlpack_device__())
        capsule = source.__dlpack__(stream=7)  # owns what is read below
        head = dlpack._head(capsule)
        memory = (ctypes.c_float * 6).from_address(head.data)
        return Detached(np.array(memory, np.float32).reshape(2, 3))


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Framework:
    made = Framework()
    monkeypatch.setitem(sys.modules, "torch", made)  # type: ignore[arg-type]
    return made


def given() -> Array:
    return np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_tensor_of_a_gpu_stays_there_until_it_leaves_the_model(framework: Framework) -> None:
    source = OnGpu(given())
    tensor = Tensor.from_dlpack("y", source)
    assert not tensor.is_cpu()
    assert (tensor.name(), tensor.shape(), tensor.triton_dtype()) == ("y", [2, 3], 11)
    assert tensor.__dlpack_device__() == (2, 1)
    with pytest.raises(TritonModelException, match="stored in GPU and cannot be converted to NumPy"):
        tensor.as_numpy()
    # To look at it needs no wait; who takes it says on which stream he reads.
    assert source.streams == [-1]
    assert dlpack.head_of(tensor.__dlpack__(stream=3)).device == (2, 1)
    assert source.streams == [-1, 3]
    assert framework.copied == []
    assert tensor._on_host().tolist() == given().tolist()
    assert framework.copied == [(2, 1)]


def test_a_capsule_of_a_gpu_serves_once(framework: Framework) -> None:
    array = given()
    tensor = Tensor.from_dlpack("y", capsule_on(2, 0, array))
    assert tensor._on_host().tolist() == array.tolist()
    with pytest.raises(TritonModelException, match="capsule of this tensor was taken already"):
        tensor.to_dlpack()
    taken = Tensor.from_dlpack("y", capsule_on(2, 0, array)).to_dlpack()
    assert dlpack.head_of(taken).shape == (2, 3)


def test_memory_goes_with_its_tensor() -> None:
    array = given()
    before = sys.getrefcount(array)
    tensor = Tensor.from_dlpack("y", capsule_on(2, 0, array))
    assert sys.getrefcount(array) > before
    del tensor
    gc.collect()
    assert sys.getrefcount(array) == before


def test_cupy_copies_where_there_is_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    cupy = SimpleNamespace(from_dlpack=lambda source: source, asnumpy=lambda source: source.array)
    monkeypatch.setitem(sys.modules, "cupy", cupy)  # type: ignore[arg-type]
    assert DeviceMemory(OnGpu(given())).on_host().tolist() == given().tolist()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(Unsupported, match="imported neither"):
        DeviceMemory(OnGpu(given())).on_host()


def test_pinned_memory_is_the_cpu_s() -> None:
    tensor = Tensor.from_dlpack("y", capsule_on(3, 0, given()))
    assert tensor.is_cpu()
    assert tensor.as_numpy().tolist() == given().tolist()


def test_other_devices_and_types_are_refused() -> None:
    with pytest.raises(Unsupported, match="not from the DLPack device type 10"):
        Tensor.from_dlpack("y", capsule_on(10, 0, given()))
    capsule = capsule_on(2, 0, given())
    dlpack._head(capsule).type_code = 5  # complex
    with pytest.raises(InvalidArgument, match="type code 5 and 32 bits has no datatype"):
        Tensor.from_dlpack("y", capsule)
