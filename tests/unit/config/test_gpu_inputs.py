"""Inputs on a GPU for models in Python: what is taken, told of as without effect, and refused."""

from __future__ import annotations

import pytest

from naiad.config import ModelConfig, complete_defaults, parse_pbtxt, validate
from naiad.config.unsupported import ignored_hints
from naiad.errors import ConfigError

TENSORS = """
input { name: "A" data_type: TYPE_INT32 dims: 4 } output { name: "O" data_type: TYPE_INT32 dims: 4 }
"""
THREAD = 'parameters { key: "isolation" value { string_value: "thread" } } '
DECOUPLED = "model_transaction_policy { decoupled: true } "


def checked(word: str, more: str = "", backend: str = "python") -> ModelConfig:
    text = f'name: "m" backend: "{backend}" {TENSORS} {more}'
    if word:
        text += f'parameters {{ key: "FORCE_CPU_ONLY_INPUT_TENSORS" value {{ string_value: "{word}" }} }}'
    message = parse_pbtxt(text)
    complete_defaults(message, num_gpus=0)
    validate(message, model_name="m", num_gpus=0)
    return ModelConfig(message)


@pytest.mark.parametrize(("word", "wants"), [("", False), ("yes", False), ("no", True), ("No", True)])
def test_only_where_the_model_says_so(word: str, wants: bool) -> None:
    assert checked(word).wants_gpu_inputs == wants


@pytest.mark.parametrize("word", ["maybe", "0", "\u0663", "x" * 100])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="'FORCE_CPU_ONLY_INPUT_TENSORS' must be 'yes' or 'no', got"):
        checked(word)
    checked(word, backend="identity")


@pytest.mark.parametrize(
    ("word", "more", "acts"),
    [
        ("no", THREAD, True),
        ("no", "", False),
        ("no", THREAD + DECOUPLED, False),
        ("yes", "", True),
    ],
)
def test_where_it_has_no_effect_that_is_said(word: str, more: str, acts: bool) -> None:
    hints = ignored_hints(checked(word, more).proto)
    assert hints == (() if acts else ("parameters: FORCE_CPU_ONLY_INPUT_TENSORS",))
