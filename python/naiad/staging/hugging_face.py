"""Folders in the form of the Hugging Face hub: ``config.json`` beside weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

CONFIG = "config.json"

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_GENERATES = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""How the names of architectures end that write text: what vLLM serves."""
_ENCODERS = re.compile(
    r"(Bert|Roberta|XLMRoberta|ModernBert|NomicBert|Gte|GteNew)(Model|ForSequenceClassification)\Z"
)
"""Architectures of text that vLLM pools: to vectors, or to scores."""
_SNAPSHOT = re.compile(r"models--(?:[^/]+--)?([^/]+)\Z")
"""The folder of a model in the hub's cache, of which ``snapshots/<revision>`` is the model."""
_ONNX_PLACES = ("model.onnx", "onnx/model.onnx")


@dataclass(frozen=True)
class HuggingFaceFolder:
    """A model in the form of the hub, on disk."""

    path: Path
    architectures: tuple[str, ...]
    model_type: str

    @property
    def name(self) -> str:
        """The model's, also where it lies in the hub's cache."""
        if self.path.parent.name == "snapshots" and (cached := _SNAPSHOT.match(self.path.parents[1].name)):
            return cached[1]
        return self.path.name

    @property
    def generates(self) -> bool:
        """Whether it writes text."""
        return any(name.endswith(_GENERATES) for name in self.architectures)

    @property
    def pooling(self) -> dict[str, str] | None:
        """The engine's arguments for a model that makes vectors or scores of text; None for another."""
        for name in self.architectures:
            if (match := _ENCODERS.match(name)) is not None:
                scores = match[2] != "Model"
                return {"runner": "pooling", "convert": "classify" if scores else "embed"}
        return None

    @property
    def onnx_file(self) -> Path | None:
        """An export that lies in the folder."""
        return next((self.path / place for place in _ONNX_PLACES if (self.path / place).is_file()), None)

    @property
    def kind(self) -> str:
        """For people: its architecture, or its type."""
        return ", ".join(self.architectures) or self.model_type or "of no stated architecture"


def read_folder(path: Path) -> HuggingFaceFolder | None:
    """None for a folder that holds no such model, or a config.json of something else."""
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    architectures = config.get("architectures") or []
    model_type = config.get("model_type") or ""
    if not isinstance(architectures, list) or not isinstance(model_type, str):
        return None
    has_weights = any(next(path.glob(pattern), None) for pattern in _WEIGHTS)
    has_onnx = any((path / place).is_file() for place in _ONNX_PLACES)
    if not (architectures or model_type) or not (has_weights or has_onnx):
        return None
    return HuggingFaceFolder(path, tuple(map(str, architectures)), model_type)
