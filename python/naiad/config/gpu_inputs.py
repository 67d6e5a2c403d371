"""Whether a model in Python wants inputs that lie on a GPU as they are: Triton's parameter for it."""

from __future__ import annotations

from typing import Any

from naiad.config.parameter import value_of, wrong

CPU_INPUTS_ONLY = "FORCE_CPU_ONLY_INPUT_TENSORS"
_WORDS = {"yes": False, "no": True}


def wants_gpu_inputs(message: Any) -> bool:
    """False where nothing is said, as with Triton. Raises ConfigError for other words than yes and no."""
    word = value_of(message, CPU_INPUTS_ONLY)
    if word is None:
        return False
    if word.lower() not in _WORDS:
        raise wrong(message, CPU_INPUTS_ONLY, f"must be 'yes' or 'no', got '{word[:40]}'")
    return _WORDS[word.lower()]


def validate_gpu_inputs(message: Any) -> None:
    """Raises ConfigError for a word that it can not be. Of models in Python: to others it says nothing."""
    if message.backend == "python":
        wants_gpu_inputs(message)
