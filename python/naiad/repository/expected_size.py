"""What a model that was never loaded may take of memory: the sizes of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from naiad.config import ModelConfig
from naiad.settings import CPU

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".plan", ".engine", ".gguf")
"""Suffixes of files with weights, where other files may be anything."""


def size_by_files(config: ModelConfig, files: Iterable[tuple[str, int, int]]) -> dict[int, int]:
    """By place (``CPU``, or the number of a GPU): each instance has weights of its own.

    ``files``: name, size and time of each file of a version. Of a model in Python those alone count that hold
    weights. An ensemble takes nothing.
    """
    if config.is_ensemble:
        return {}
    every = config.backend != "python"
    size = sum(size for name, size, _ in files if every or PurePath(name).suffix in WEIGHTS)
    return {place: size * count for place, count in instance_places(config).items()}


def instance_places(config: ModelConfig) -> Counter[int]:
    """How many instances there are at each place."""
    places: Counter[int] = Counter()
    for group in config.instance_groups:
        gpus = group.gpus if group.kind == "KIND_GPU" else ()
        for index in range(len(group.instance_names)):
            places[gpus[index % len(gpus)] if gpus else CPU] += 1
    return places
