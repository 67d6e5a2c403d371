"""Tensors as the dashboard's page sends and shows them."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from naiad.errors import InvalidArgument
from naiad.ui import tensors
from naiad.ui.tensors import read_inputs, show_output


def given(datatype: str, shape: list[Any], **more: Any) -> list[dict[str, Any]]:
    return [{"name": "x", "datatype": datatype, "shape": shape, **more}]


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("FP32", [[1, 2.5], [3, 4]], np.array([[1, 2.5], [3, 4]], np.float32)),
        ("INT64", [1, 2, 3, 2**62], np.array([[1, 2], [3, 2**62]], np.int64)),
        ("UINT8", [0, 255, 1, 2.0], np.array([[0, 255], [1, 2]], np.uint8)),
        ("BOOL", [True, False, 1, 0], np.array([[True, False], [True, False]])),
        ("FP16", [0.5, 1, 2, 3], np.array([[0.5, 1], [2, 3]], np.float16)),
        # 1 + 2^-8 lies half way between two numbers of BF16: the even one is taken.
        ("BF16", [1.0, -2.0, 1.00390625, 3.0], np.array([[0x3F80, 0xC000], [0x3F80, 0x4040]], np.uint16)),
        ("BYTES", ["a", "é", "", "d"], np.array([[b"a", "é".encode()], [b"", b"d"]], object)),
    ],
)
def test_values_of_each_type(datatype: str, data: list[Any], expected: Any) -> None:
    array = read_inputs(given(datatype, [2, 2], data=data))["x"]
    assert array.dtype == expected.dtype
    assert array.tolist() == expected.tolist()


def test_bytes_of_a_tensor_and_of_a_file() -> None:
    raw = struct.pack("<3f", 1.0, 2.0, 3.0)
    assert read_inputs(given("FP32", [3], b64=encoded(raw)))["x"].tolist() == [1.0, 2.0, 3.0]
    assert read_inputs(given("BYTES", [1, 1], b64=encoded(b"\xff\x00")))["x"].tolist() == [[b"\xff\x00"]]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (given("FP32", [2], data=[1]), "takes 2 values, got 1"),
        (given("FP33", [1], data=[1]), "unknown datatype 'FP33'"),
        (given("FP32", [-1], data=[1]), "a whole number, 0 or more"),
        (given("FP32", [True], data=[1]), "a whole number, 0 or more"),
        (given("FP32", [1] * 33, data=[1]), "'shape' should be an array of sizes"),
        (given("FP32", [1], data=["a"]), "should be numbers"),
        (given("FP32", [1]), "should be numbers"),
        (given("INT8", [1], data=[128]), "does not fit INT8"),
        (given("INT32", [1], data=[1.5]), "whole numbers"),
        (given("INT32", [1], data=[float("inf")]), "does not fit INT32"),
        (given("BYTES", [1], data=[1]), "should be strings"),
        (given("FP32", [1], b64="A"), "is not base64"),
        (given("FP32", [1], b64=encoded(b"abc")), "no whole number of FP32"),
        ([{"datatype": "FP32"}], "should have a 'name'"),
        (given("FP32", [1], data=[1]) * 2, "given twice"),
        ({}, "should be an array of objects"),
        ([1], "should be an array of objects"),
    ],
)
def test_what_is_wrong_is_said(tensor: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        read_inputs(tensor)


def test_deep_nesting_is_flat() -> None:
    data: list[Any] = [1.0]
    for _ in range(500):
        data = [data]
    assert read_inputs(given("FP32", [1], data=data))["x"].tolist() == [1.0]


@dataclass
class FakeTensor:
    name: str
    datatype: str
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    def numpy(self) -> Any:
        return self.array


def shown(datatype: str, array: Any) -> dict[str, Any]:
    return show_output(FakeTensor("y", datatype, array))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("datatype", "array", "stored", "raw"),
    [
        ("FP32", np.array([[1.5]], np.float32), "FP32", struct.pack("<f", 1.5)),
        ("FP16", np.array([1.5], np.float16), "FP32", struct.pack("<f", 1.5)),
        ("BF16", np.array([0xC000], np.uint16), "FP32", struct.pack("<f", -2.0)),
        ("BOOL", np.array([True, False]), "UINT8", b"\x01\x00"),
        ("INT64", np.array([-1], np.int64), "INT64", b"\xff" * 8),
    ],
)
def test_outputs_as_the_page_reads_them(datatype: str, array: Any, stored: str, raw: bytes) -> None:
    answer = shown(datatype, array)
    assert answer == {
        "name": "y",
        "datatype": datatype,
        "shape": list(array.shape),
        "stored": stored,
        "b64": encoded(raw),
        "num_left_out": 0,
    }


def test_texts_need_not_be_utf_8() -> None:
    answer = shown("BYTES", np.array([b"a\xff", "é".encode()], object))
    assert answer["texts"] == ["a�", "é"]


def test_what_is_too_much_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "MAX_SHOWN_BYTES", 8)
    answer = shown("FP32", np.arange(5, dtype=np.float32))
    assert (answer["num_left_out"], answer["b64"]) == (3, encoded(struct.pack("<2f", 0, 1)))
    assert shown("BYTES", np.array([b"x"] * 1001, object))["num_left_out"] == 1
