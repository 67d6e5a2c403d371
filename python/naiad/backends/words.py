"""Words of options and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.config import ModelConfig
from naiad.errors import ConfigError

YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
"""In lower case."""


def flag_of(config: ModelConfig, parameter: str, words: Mapping[str, bool], expected: str) -> bool:
    """A parameter of a configuration that is one of ``words``, in any case; False where it is not there.

    Raises ConfigError for another word, which names those that are ``expected``.
    """
    word = config.parameters.get(parameter)
    if word is None:
        return False
    if word.lower() not in words:
        raise ConfigError(
            f"model '{config.name}': parameter {parameter} must be {expected}, got '{word}'",
            field="parameters",
        )
    return words[word.lower()]
