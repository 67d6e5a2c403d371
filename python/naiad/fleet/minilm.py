"""Builds ``minilm``: all-MiniLM-L6-v2 exported to ONNX, held against sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from naiad.errors import Internal
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.minilm_graph import export_minilm
from naiad.fleet.source import MINILM
from naiad.fleet.tokenizer import load_tokenizer, tokenizer_json

# Cosines by sentence-transformers 6.2.0 with torch 2.13.0 from the same weights, in FP32.
KNOWN_PAIRS = (
    ("A man is playing a guitar on stage.", "Someone performs music with a guitar.", 0.68607),
    ("The stock market fell sharply today.", "Share prices dropped this afternoon.", 0.62850),
    ("A man is playing a guitar on stage.", "The stock market fell sharply today.", -0.08299),
)
TOLERANCE = 1e-4

ROOM = Path(__file__).parent

Array = npt.NDArray[Any]


def build() -> BuiltModel:
    """Exports the model and checks the cosines of known pairs of sentences on the CPU."""
    model = export_minilm(MINILM.file("model"))
    texts = [text for first, second, _ in KNOWN_PAIRS for text in (first, second)]
    vectors = run_minilm(model, texts, "sentence_embedding")
    cosines = [float(vectors[i] @ vectors[i + 1]) for i in range(0, len(texts), 2)]
    for (first, second, expected), got in zip(KNOWN_PAIRS, cosines, strict=True):
        check_cosine(f"minilm: the cosine of {first!r} and {second!r}", got, expected)
    return built_minilm(
        "minilm",
        (ROOM / "minilm.config.pbtxt").read_bytes(),
        model,
        checked="cosines of known pairs: " + ", ".join(f"{cosine:.3f}" for cosine in cosines),
        summary="Sentence embedding: all-MiniLM-L6-v2 (22.7 million weights, FP32), exported to ONNX from "
        "its safetensors file with mean pooling and L2 normalisation inside the graph. `input_ids` and "
        "`attention_mask` in, `sentence_embedding` (384 numbers, length 1) out.",
    )


def built_minilm(name: str, config: bytes, model: bytes, *, checked: str, summary: str) -> BuiltModel:
    """A model exported from the weights of MiniLM."""
    return BuiltModel(
        name=name,
        backend="onnxruntime",
        source=f"{MINILM.distribution} {MINILM.version()}",
        licence=MINILM.licence,
        checked=checked,
        summary=summary,
        files={"config.pbtxt": config, "1/model.onnx": model},
    )


def run_minilm(model: bytes, texts: list[str], output: str) -> Array:
    """What an exported model gives for texts, one row each, on the CPU."""
    rows = load_tokenizer(tokenizer_json()).encode_batch(texts)
    feed = {
        "input_ids": np.array([row.ids for row in rows], np.int64),
        "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
    }
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (made,) = session.run([output], feed)
    return np.asarray(made)


def check_cosine(what: str, got: float, expected: float) -> None:
    """Raises Internal when a cosine is not the known one."""
    if abs(got - expected) > TOLERANCE:
        raise Internal(f"{what} is {got:.5f}, expected {expected:.5f}")
