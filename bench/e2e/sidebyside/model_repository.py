"""The model repositories that the servers are started on, written into the bench's scratch folder."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path

from sidebyside.case import IDENTITY_MODELS, NAIAD_ONLY_MODELS

_HERE = Path(__file__).resolve().parent.parent
_MODELS = _HERE / "models"
_IDENTITY_SOURCE = _HERE / "triton_identity" / "identity.cc"
_TRITON_LIBRARY = "libtriton_identity.so"
# The Python models share one model.py.
_MODEL_PY = _MODELS / "identity_py" / "1" / "model.py"
_ONNX_OPSET = 17
_ONNX_IR_VERSION = 8


def write_repository(target: Path, models: set[str], triton_library: Path | None = None) -> None:
    """Write `models` as a repository into `target`. Both servers get the same config.pbtxt and model.py.

    `triton_library` is put beside the native models, where Triton looks for a backend first; naiad has
    its own identity.
    """
    for model in sorted(models & {*IDENTITY_MODELS, *NAIAD_ONLY_MODELS}):
        folder = target / model
        (folder / "1").mkdir(parents=True)
        shutil.copyfile(_MODELS / model / "config.pbtxt", folder / "config.pbtxt")
        if "_py" in model:
            shutil.copyfile(_MODEL_PY, folder / "1" / "model.py")
        elif model in NAIAD_ONLY_MODELS:
            write_add_sub(folder / "1" / "model.onnx")
        elif triton_library is not None:
            shutil.copyfile(triton_library, folder / _TRITON_LIBRARY)


def build_triton_identity(scratch: Path) -> Path:
    """Compile Triton's side of the native identity into `scratch`. Blocks for the compiler (seconds).

    Raises subprocess.CalledProcessError when the compiler does not like it; needs g++.
    """
    library = scratch / _TRITON_LIBRARY
    flags = ["-std=c++20", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, str(_IDENTITY_SOURCE), "-o", str(library)], check=True)
    return library


def write_add_sub(target: Path) -> None:
    """Write an ONNX model: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, float32 (rows, n)."""
    onnx = importlib.import_module("onnx")
    build, floats = onnx.helper, onnx.TensorProto.FLOAT

    def tensors(word: str) -> list[object]:
        return [build.make_tensor_value_info(f"{word}{index}", floats, ["rows", "n"]) for index in (0, 1)]

    nodes = [
        build.make_node(operator, ["INPUT0", "INPUT1"], [f"OUTPUT{index}"])
        for index, operator in enumerate(("Add", "Sub"))
    ]
    graph = build.make_graph(nodes, "simple", tensors("INPUT"), tensors("OUTPUT"))
    opset = [build.make_opsetid("", _ONNX_OPSET)]
    model = build.make_model(graph, opset_imports=opset, ir_version=_ONNX_IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))
