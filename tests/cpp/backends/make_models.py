"""Writes the small ONNX models that the tests of the native backends run.

Run once with the `onnx` package installed: python tests/cpp/backends/make_models.py. The files are committed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Dims = Sequence[int | str | None]
ALL_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
    "BF16": TensorProto.BFLOAT16,
}


def tensor(name: str, element: int, dims: Dims | None) -> onnx.ValueInfoProto:
    """A graph input or output; a text in `dims` is a symbolic dimension, `dims` None is no shape at all."""
    return helper.make_tensor_value_info(name, element, dims)


def save(
    folder: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    custom: dict[str, str] | None = None,
) -> None:
    """Writes one model for opset 17, IR version 8: what every supported ONNX Runtime reads."""
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if custom:
        helper.set_model_props(model, custom)
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


def main(folder: Path) -> None:
    """Writes all models into `folder`."""
    node = helper.make_node
    int32, float32 = TensorProto.INT32, TensorProto.FLOAT
    add_and_subtract: dict[str, Dims] = {"simple": ["batch", 16], "simple_unbatched": [16]}
    for name, dims in add_and_subtract.items():
        save(
            folder,
            name,
            [node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]), node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])],
            [tensor("INPUT0", int32, dims), tensor("INPUT1", int32, dims)],
            [tensor("OUTPUT0", int32, dims), tensor("OUTPUT1", int32, dims)],
            custom={"author": "naiad", "labels": "a\nb"},
        )
    save(
        folder,
        "nonzero",
        [node("NonZero", ["x"], ["at"])],
        [tensor("x", float32, ["n"])],
        [tensor("at", TensorProto.INT64, [1, "found"])],
    )
    # The file promises [4] for whatever is cut off: the library believes the run, not the file.
    save(
        folder,
        "lying_shape",
        [node("Slice", ["x", "starts", "ends"], ["y"])],
        [tensor("x", float32, ["n"]), tensor("ends", TensorProto.INT64, [1])],
        [tensor("y", float32, [4])],
        [helper.make_tensor("starts", TensorProto.INT64, [1], [0])],
    )
    save(
        folder,
        "constant",
        [node("Neg", ["x"], ["y"])],
        [tensor("x", float32, [2])],
        [tensor("y", float32, [2]), tensor("c", float32, [2])],
        [helper.make_tensor("c", float32, [2], [3.0, 4.0])],
    )
    save(
        folder,
        "all_types",
        [node("Identity", [f"IN_{name}"], [f"OUT_{name}"]) for name in ALL_TYPES],
        [tensor(f"IN_{name}", element, ["batch", "n"]) for name, element in ALL_TYPES.items()],
        [tensor(f"OUT_{name}", element, ["batch", "n"]) for name, element in ALL_TYPES.items()],
    )
    save(
        folder,
        "scale",
        [node("Mul", ["x", "factor"], ["y"])],
        [tensor("x", float32, ["batch", 2]), tensor("factor", float32, [1])],
        [tensor("y", float32, ["batch", 2])],
        [helper.make_tensor("factor", float32, [1], [10.0])],
    )
    save(
        folder,
        "scalar",
        [node("Neg", ["x"], ["y"])],
        [tensor("x", float32, [])],
        [tensor("y", float32, [])],
    )
    save(
        folder,
        "reshape_to",
        [node("Reshape", ["x", "shape"], ["y"], name="/inner/reshape")],
        [tensor("x", float32, ["batch", "n"]), tensor("shape", TensorProto.INT64, [2])],
        [tensor("y", float32, ["batch", "m"])],
    )
    # An output that is an input: no node between them.
    same = tensor("x", float32, ["batch", 2])
    save(folder, "passed_through", [], [same], [same])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "models")
