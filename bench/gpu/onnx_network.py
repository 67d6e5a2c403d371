"""The network as an ONNX model, which computes in FP32, and ONNX Runtime in a bare loop."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import Network

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


def absence(device: str) -> str:
    """Why it can not be measured; "" where it can."""
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    import onnxruntime

    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime {onnxruntime.__version__} has no {PROVIDERS[device]}"
    return ""


def export(path: Path, side: int) -> None:
    """Writes it, for any number of images."""
    sizes = {0: "rows"}
    torch.onnx.export(
        Network(torch.float32).eval(),
        (torch.rand(1, 3, side, side),),
        str(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": sizes, "y": sizes},
        dynamo=False,
    )


def calls(path: Path, options: argparse.Namespace) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A batch on the device already, and one from the host and back."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=[PROVIDERS[options.device]])
    images = np.random.default_rng().random((options.batch, 3, options.side, options.side), dtype=np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(images, options.device, 0))
    binding.bind_output("y", options.device, 0)
    return lambda: session.run_with_iobinding(binding), lambda: session.run(["y"], {"x": images})
