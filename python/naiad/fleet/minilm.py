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
from naiad.fleet.tokenizer import load_tokenizer

# Cosines by sentence-transformers 6.2.0 with torch 2.13.0 from the same weights, in FP32.
KNOWN_PAIRS = (
    ("A man is playing a guitar on stage.", "Someone performs music with a guitar.", 0.68607),
    ("The stock market fell sharply today.", "Share prices dropped this afternoon.", 0.62850),
    ("A man is playing a guitar on stage.", "The stock market fell sharply today.", -0.08299),
)
TOLERANCE = 1e-4

ROOM = Path(__file__).parent


def build() -> BuiltModel:
    """Exports the model and checks the cosines of known pairs of sentences on the CPU."""
    model = export_minilm(MINILM.file("model"))
    cosines = _cosines(model)
    for (first, second, expected), got in zip(KNOWN_PAIRS, cosines, strict=True):
        if abs(got - expected) > TOLERANCE:
            raise Internal(
                f"minilm: the cosine of {first!r} and {second!r} is {got:.5f}, expected {expected:.5f}"
            )
    return BuiltModel(
        name="minilm",
        backend="onnxruntime",
        source=f"{MINILM.distribution} {MINILM.version()}",
        licence=MINILM.licence,
        checked="cosines of known pairs: " + ", ".join(f"{cosine:.3f}" for cosine in cosines),
        summary="Sentence embedding: all-MiniLM-L6-v2 (22.7 million weights, FP32), exported to ONNX from "
        "its safetensors file with mean pooling and L2 normalisation inside the graph. `input_ids` and "
        "`attention_mask` in, `sentence_embedding` (384 numbers, length 1) out.",
        files={"config.pbtxt": (ROOM / "minilm.config.pbtxt").read_bytes(), "1/model.onnx": model},
    )


def _cosines(model: bytes) -> list[float]:
    tokenizer = load_tokenizer(MINILM.file("model/tokenizer.json").read_bytes())
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    texts = [text for first, second, _ in KNOWN_PAIRS for text in (first, second)]
    rows = tokenizer.encode_batch(texts)
    feed: dict[str, npt.NDArray[Any]] = {
        "input_ids": np.array([row.ids for row in rows], np.int64),
        "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
    }
    (vectors,) = session.run(["sentence_embedding"], feed)
    return [float(vectors[i] @ vectors[i + 1]) for i in range(0, len(texts), 2)]
