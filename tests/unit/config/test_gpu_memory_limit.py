"""How much of a GPU's memory a model may have: what is taken, and what is refused by name."""

from __future__ import annotations

import pytest

from naiad.config import ModelConfig, complete_backend, complete_defaults, parse_pbtxt, validate
from naiad.config.unsupported import ignored_hints
from naiad.errors import ConfigError

TENSORS = """
input { name: "A" data_type: TYPE_INT32 dims: 4 } output { name: "O" data_type: TYPE_INT32 dims: 4 }
"""
STEP = 'step { model_name: "a" input_map { key: "A" value: "A" } output_map { key: "O" value: "O" } }'
ENSEMBLE = f'platform: "ensemble" {TENSORS} ensemble_scheduling {{ {STEP} }}'
THREAD = 'parameters { key: "isolation" value { string_value: "thread" } }'


def model(backend: str, more: str = "") -> str:
    return f'backend: "{backend}" {TENSORS} {more}'


def limit(value: str) -> str:
    return f' parameters {{ key: "gpu_memory_limit_bytes" value {{ string_value: "{value}" }} }}'


def checked(text: str, num_gpus: int = 0) -> ModelConfig:
    message = parse_pbtxt(text)
    complete_backend(message, model_name="m", filenames=["model.onnx"])
    complete_defaults(message, num_gpus=num_gpus)
    validate(message, model_name="m", num_gpus=num_gpus)
    return ModelConfig(message)


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "16GB", "9" * 30, "\u0663"])
def test_what_is_no_number_of_bytes(value: str) -> None:
    with pytest.raises(ConfigError, match="must be a number of bytes from 1 to") as caught:
        checked(model("identity", limit(value)))
    assert caught.value.field == 'parameters["gpu_memory_limit_bytes"]'


def test_an_ensemble_has_none() -> None:
    with pytest.raises(ConfigError, match="can not be used with an ensemble"):
        checked(ENSEMBLE + limit("1024"))


def test_taken() -> None:
    assert checked(model("identity", limit("1048576"))).gpu_memory_limit_bytes == 1 << 20
    assert checked(model("identity")).gpu_memory_limit_bytes == 0


@pytest.mark.parametrize(
    ("backend", "more", "num_gpus", "acts"),
    [
        ("onnxruntime", "", 1, True),
        ("identity", "", 1, True),
        ("pytorch", THREAD, 1, True),
        ("pytorch", "", 1, False),
        ("python", "", 1, False),
        ("onnxruntime", "instance_group { kind: KIND_CPU }", 1, False),
        ("onnxruntime", "", 0, False),
    ],
)
def test_the_log_says_where_it_has_no_effect(backend: str, more: str, num_gpus: int, acts: bool) -> None:
    hints = ignored_hints(checked(model(backend, more + limit("1024")), num_gpus).proto)
    assert ("parameters: gpu_memory_limit_bytes" in hints) is not acts
