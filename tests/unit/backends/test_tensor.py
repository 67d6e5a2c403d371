"""pb_utils.Tensor and DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.backends.python.datatypes import NUMPY_TYPES, TRITON_NUMBERS
from naiad.backends.python.failure import TritonModelException
from naiad.backends.python.tensor import Tensor, deserialize_bytes_tensor, serialize_byte_tensor
from naiad.errors import InvalidArgument, Unsupported

NUMERIC = [wire for wire in NUMPY_TYPES if wire != "BYTES"]


@pytest.mark.parametrize("wire", NUMERIC)
def test_every_datatype_is_known_by_its_array(wire: str) -> None:
    tensor = Tensor("t", np.zeros((2, 3), NUMPY_TYPES[wire]))
    assert tensor.triton_dtype() == TRITON_NUMBERS[wire]
    assert tensor.shape() == [2, 3]
    assert tensor.name() == "t"
    assert tensor.is_cpu()


@pytest.mark.parametrize("wire", NUMERIC)
def test_dlpack_goes_there_and_back_without_a_copy(wire: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(NUMPY_TYPES[wire])
    tensor = Tensor("t", array)
    assert tensor.__dlpack_device__() == (1, 0)
    for source in (tensor, tensor.to_dlpack()):
        back = Tensor.from_dlpack("u", source)
        assert back.name() == "u"
        assert back.triton_dtype() == TRITON_NUMBERS[wire]
        assert np.array_equal(back.as_numpy(), array)
        assert np.shares_memory(back.as_numpy(), array)


def test_bf16_passes_through_dlpack_and_has_no_numpy_form() -> None:
    bits = np.array([0x3F80, 0x4000], np.uint16)
    tensor = Tensor.from_dlpack("u", Tensor.of("t", "BF16", bits).to_dlpack())
    assert tensor.triton_dtype() == TRITON_NUMBERS["BF16"]
    assert np.array_equal(tensor._array, bits)
    with pytest.raises(TritonModelException, match="BF16"):
        tensor.as_numpy()


def test_torch_takes_and_gives_tensors() -> None:
    torch = pytest.importorskip("torch")
    bits = np.array([0x3F80, 0x4000], np.uint16)
    taken = torch.from_dlpack(Tensor.of("t", "BF16", bits))
    assert taken.dtype == torch.bfloat16
    assert taken.tolist() == [1.0, 2.0]
    given_back = Tensor.from_dlpack("u", taken * 2)
    assert given_back.triton_dtype() == TRITON_NUMBERS["BF16"]
    assert given_back._array.tolist() == [0x4000, 0x4080]
    assert torch.from_dlpack(Tensor("f", np.ones((1, 2), np.float32))).shape == (1, 2)


def test_shared_memory_is_copied_once_and_can_be_written_to() -> None:
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    tensor = Tensor.of("t", "FP32", array, shared=True)
    own = tensor.as_numpy()
    own += 1
    assert tensor.as_numpy() is own
    assert array.tolist() == [1, 1, 1]


def test_memory_of_the_models_own_is_not_copied() -> None:
    array = np.ones(3, np.float32)
    assert Tensor.of("t", "FP32", array, shared=True).as_numpy() is array
    array.flags.writeable = False
    assert Tensor.of("t", "FP32", array).as_numpy() is array
    assert np.shares_memory(np.from_dlpack(Tensor.of("t", "FP32", array)), array)


@pytest.mark.parametrize(
    ("array", "elements"),
    [
        (np.array([b"a", b"bc"]), [b"a", b"bc"]),
        (np.array(["a", "ä"]), ["a", "ä"]),
        (np.array([b"a", "b", 12, None], dtype=np.object_), [b"a", "b", "12", "None"]),
        (np.array([], dtype=np.object_), []),
    ],
)
def test_strings_and_objects_become_bytes(array: Any, elements: list[Any]) -> None:
    tensor = Tensor("t", array)
    assert tensor.triton_dtype() == TRITON_NUMBERS["BYTES"]
    assert list(tensor.as_numpy()) == elements


def test_big_endian_arrays_are_turned_around() -> None:
    tensor = Tensor("t", np.array([1, 2], ">i4"))
    assert tensor.as_numpy().dtype == np.dtype("int32")
    assert tensor.as_numpy().tolist() == [1, 2]


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["2020"], "M8[D]"), np.zeros(1, "i4,f4")])
def test_what_tensors_cannot_hold_is_refused(array: Any) -> None:
    with pytest.raises(TritonModelException, match="NumPy dtype is not supported"):
        Tensor("t", array)


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(TypeError, match="numpy array"):
        Tensor("t", [1, 2])  # type: ignore[arg-type]


def test_dlpack_refuses_strings_other_devices_and_used_capsules() -> None:
    with pytest.raises(TritonModelException, match="string"):
        Tensor("t", np.array([b"a"])).to_dlpack()

    class Elsewhere:
        def __dlpack__(self) -> Any:
            raise AssertionError("never asked for")

        def __dlpack_device__(self) -> tuple[int, int]:
            return (10, 0)

    with pytest.raises(Unsupported, match="device type 10"):
        Tensor.from_dlpack("t", Elsewhere())
    capsule = Tensor("t", np.ones(1)).to_dlpack()
    Tensor.from_dlpack("t", capsule)
    with pytest.raises(InvalidArgument, match="capsule"):
        Tensor.from_dlpack("t", capsule)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
def test_the_wire_form_of_bytes_goes_there_and_back(elements: list[bytes]) -> None:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    encoded = serialize_byte_tensor(array)
    assert isinstance(encoded, bytes)
    assert deserialize_bytes_tensor(encoded).tolist() == elements


def test_the_wire_form_as_triton_spells_it() -> None:
    encoded = serialize_byte_tensor(np.array([b"ab", "c", 3], dtype=np.object_))
    assert encoded == b"\2\0\0\0ab\1\0\0\0c\1\0\0\x003"
    assert serialize_byte_tensor(np.array([], dtype=np.object_)) == ()
    assert serialize_byte_tensor(np.array([1])) is None


@pytest.mark.parametrize("encoded", [b"\1", b"\5\0\0\0ab", b"\0\0\0\0\xff\xff\xff\xffa"])
def test_a_length_that_lies_is_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidArgument, match="bytes tensor"):
        deserialize_bytes_tensor(encoded)
