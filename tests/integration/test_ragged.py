"""Requests of several shapes in one batch."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import naiad

from .conftest import write_model

PYTHON = """
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true } ]
output [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
dynamic_batching { preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 10000000 }
"""

PYTHON_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        count = np.array([[len(requests)]], np.int32)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("N", count)]) for _ in requests]
"""

ONNX = """
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true } ]
batch_input [
  { kind: BATCH_ELEMENT_COUNT target_name: "COUNTS" data_type: TYPE_FP32 source_input: "X" },
  { kind: BATCH_ITEM_SHAPE target_name: "SHAPES" data_type: TYPE_FP32 source_input: "X" } ]
output [
  { name: "TWICE" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "COUNT" data_type: TYPE_FP32 dims: [ 1 ] },
  { name: "WIDTH" data_type: TYPE_FP32 dims: [ 1 ] } ]
batch_output [ { target_name: "TWICE" kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: "X" } ]
dynamic_batching { preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 10000000 }
"""


def write_onnx(path: Path) -> None:
    """TWICE = 2 X; COUNT = COUNTS as a column; WIDTH = SHAPES."""

    def floats(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    column = helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["X", "X"], ["TWICE"]),
            helper.make_node("Reshape", ["COUNTS", "column"], ["COUNT"]),
            helper.make_node("Identity", ["SHAPES"], ["WIDTH"]),
        ],
        "ragged",
        [floats("X", "n"), floats("COUNTS", "rows"), floats("SHAPES", "rows", 1)],
        [floats("TWICE", "n"), floats("COUNT", "rows", 1), floats("WIDTH", "rows", 1)],
        [column],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    repository = tmp_path_factory.mktemp("ragged")
    write_model(repository, "in_python", PYTHON, PYTHON_MODEL)
    write_model(repository, "in_onnx", ONNX)
    write_onnx(repository / "in_onnx" / "1" / "model.onnx")
    with naiad.Server(repository) as server:
        yield server


def together(server: Any, model: str) -> list[Any]:
    """Three requests of 3, 4 and 5 elements: the batch waits for all of them."""
    inputs = [{"X": np.arange(width, dtype=np.float32).reshape(1, width)} for width in (3, 4, 5)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return list(pool.map(server.model(model).infer, inputs))


def test_a_python_model_sees_each_request(server: Any) -> None:
    assert [answer["N"].tolist() for answer in together(server, "in_python")] == [[[3]]] * 3


def test_an_onnx_model_sees_one_row_and_what_it_is_made_of(server: Any) -> None:
    answers = together(server, "in_onnx")
    assert [answer["COUNT"].tolist() for answer in answers] == [[[3]], [[4]], [[5]]]
    assert [answer["WIDTH"].tolist() for answer in answers] == [[[3]], [[4]], [[5]]]
    for width, answer in zip((3, 4, 5), answers, strict=True):
        assert answer["TWICE"].tolist() == [[2.0 * i for i in range(width)]]
