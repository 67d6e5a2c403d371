"""The identity backend refuses what it cannot pass through."""

from __future__ import annotations

import pytest

from naiad.backends.base import ModelFiles
from naiad.backends.identity import IdentityBackend
from naiad.config import ModelConfig, parse_pbtxt
from naiad.errors import ConfigError

A = 'input [ { name: "A" data_type: TYPE_FP32 dims: [ 2 ] } ]'


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ("", "1 inputs and 0 outputs"),
        (
            'output [ { name: "Y" data_type: TYPE_INT32 dims: [ 2 ] } ]',
            "'Y' has INT32, but its input 'A' has FP32",
        ),
        (
            'output [ { name: "Y" data_type: TYPE_FP32 dims: [ 3 ] } ]',
            r"dims \[3\], but its input 'A' has \[2\]",
        ),
    ],
)
def test_outputs_pair_up_with_inputs(files: ModelFiles, outputs: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        IdentityBackend({}).factory(ModelConfig(parse_pbtxt(A + outputs)), files)
