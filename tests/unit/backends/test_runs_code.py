"""Which models may be code."""

from __future__ import annotations

import pytest

from naiad.backends.registry import BackendRegistry
from naiad.config import ModelConfig, parse_pbtxt


@pytest.mark.parametrize(
    ("backend", "options", "more", "expected"),
    [
        ("python", {}, "", True),
        ("pytorch", {}, "", True),
        ("tensorrt", {}, "", True),
        ("vllm", {}, "", True),
        ("onnxruntime", {}, "", False),
        ("identity", {}, "", False),
        ("openvino", {}, "", False),
        ("openvino", {"install-requirements": "yes"}, "", True),
        ("openvino", {}, 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "e" } }', True),
    ],
)
def test_which(backend: str, options: dict[str, str], more: str, expected: bool) -> None:
    config = ModelConfig(parse_pbtxt(f'backend: "{backend}" {more}'.encode(), file="m"))
    assert BackendRegistry({backend: options}).get(backend).runs_code(config) is expected
