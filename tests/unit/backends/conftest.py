"""The fakes of this room are found by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from naiad.backends.base import ModelFiles
from naiad.config import ModelConfig, parse_pbtxt

sys.path.insert(0, str(Path(__file__).parent))

CONFIG = """
name: "m" backend: "python" max_batch_size: 4
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "Z" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig(parse_pbtxt(CONFIG))


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """A model directory with version 1, which is empty."""
    (tmp_path / "m" / "1").mkdir(parents=True)
    return ModelFiles("m", 1, tmp_path / "m", tmp_path)
