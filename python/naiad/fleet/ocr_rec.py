"""Builds ``ocr_rec``: the PP-OCRv6 text recogniser, an image of one line of text to characters."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image

from naiad.errors import Internal
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.source import RAPIDOCR

WEIGHTS = "models/PP-OCRv6_rec_small.onnx"
HEIGHT = 48
KNOWN_TEXT = "Hello Triton 2026"
KNOWN_PICTURE = Path(__file__).with_name("hello.png")


def build() -> BuiltModel:
    """Gives the network plain names and a greedy read-out, and checks that it reads a known picture."""
    network = onnx.load(RAPIDOCR.file(WEIGHTS))
    characters = _characters(network)
    model = _with_read_out(network).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ids, confidences = session.run(["character_ids", "confidences"], {"image": picture_tensor(KNOWN_PICTURE)})
    text = read(ids[0], characters)
    if text != KNOWN_TEXT:
        raise Internal(f"ocr_rec: the picture of {KNOWN_TEXT!r} was read as {text!r}")
    return BuiltModel(
        name="ocr_rec",
        backend="onnxruntime",
        source=f"{RAPIDOCR.distribution} {RAPIDOCR.version()}",
        licence=RAPIDOCR.licence,
        checked=f"reads the picture of {KNOWN_TEXT!r}, least confidence {float(confidences.min()):.2f}",
        summary="Text recognition: PP-OCRv6 (small). `image` (FP32 [3, 48, width], BGR, from -1 to 1) in; "
        "for each step along the width the likeliest character (`character_ids`, 0 is blank) and how sure "
        "the model is (`confidences`) out. Line k of `charset.txt`, from 0 on, is the character of id k. "
        "It has no `config.pbtxt`: the server completes one from the ONNX file.",
        files={"1/model.onnx": model, "charset.txt": "\n".join(characters).encode()},
    )


def picture_tensor(picture: Path | BytesIO) -> npt.NDArray[Any]:
    """The picture as the network wants it: FP32 [1, 3, 48, width], BGR, from -1 to 1, proportions kept."""
    with Image.open(picture) as image:
        width = round(image.width * HEIGHT / image.height)
        rgb = image.convert("RGB").resize((width, HEIGHT), Image.Resampling.BILINEAR)
    bgr = np.asarray(rgb, np.float32)[:, :, ::-1]
    return np.ascontiguousarray((bgr / 127.5 - 1.0).transpose(2, 0, 1)[np.newaxis])


def read(ids: npt.NDArray[Any], characters: list[str]) -> str:
    """Greedy CTC (Graves et al. 2006): repeats count once, then blanks (0) go."""
    last = np.concatenate([[0], ids[:-1]])
    return "".join(characters[int(i)] for i in ids[ids != last])


def _characters(network: onnx.ModelProto) -> list[str]:
    """Character of each class: the blank, those of the file's own metadata, then the space."""
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    return ["", *metadata["character"].splitlines(), " "]


def _with_read_out(network: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its input named ``image``, and of its output only the best class of each step.

    The probabilities of all 18,710 classes are 3 MB for a short line; nobody wants them over a network.
    """
    graph = network.graph
    (source,), (probabilities,) = graph.input, graph.output
    for node in graph.node:
        node.input[:] = ["image" if name == source.name else name for name in node.input]
    source.name = "image"
    for axis, name in ((0, "batch"), (3, "width")):
        source.type.tensor_type.shape.dim[axis].dim_param = name
    graph.node.append(
        helper.make_node("ArgMax", [probabilities.name], ["character_ids"], axis=-1, keepdims=0)
    )
    graph.node.append(
        helper.make_node("ReduceMax", [probabilities.name], ["confidences"], axes=[-1], keepdims=0)
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("character_ids", TensorProto.INT64, ["batch", "steps"]))
    graph.output.append(helper.make_tensor_value_info("confidences", TensorProto.FLOAT, ["batch", "steps"]))
    onnx.checker.check_model(network)
    return network
