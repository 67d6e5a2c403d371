"""Small ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_matmul(path: Path, *, external: bool = False) -> Path:
    """y = x @ w: [n, 4] to [n, 2]; ``external``: with w in a file of its own beside it."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.ones((4, 2), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if external:
        location = f"{path.stem}.weights"
        onnx.save(model, str(path), save_as_external_data=True, location=location, size_threshold=0)
    else:
        onnx.save(model, str(path))
    return path
