"""The fleet's language model: a model of vLLM that reads a folder which is there. Nothing is copied."""

from __future__ import annotations

import json
from pathlib import Path

from naiad.errors import InvalidArgument, NotFound
from naiad.fleet.fleet_model import BuiltModel

NAME = "smollm2"
"""What answers in the retrieval pipelines."""

_CONFIG = """# The language model of the fleet. What vLLM is told stands in 1/model.json.
name: "{name}"
backend: "vllm"
"""
_ENVIRONMENT = """
# The environment that has vLLM.
parameters {{
  key: "EXECUTION_ENV_PATH"
  value {{ string_value: "{path}" }}
}}
"""
_ARGUMENTS = {
    "max_model_len": 2048,
    "kv_cache_memory_bytes": 1 << 30,
    # Starts in half a minute instead of two; leave it out for speed.
    "enforce_eager": True,
}


def build_language_model(directory: Path) -> BuiltModel:
    """``directory``: a model folder in Hugging Face's form, for which vLLM is installed beside naiad; or what
    ``make test-llm`` makes: ``model``, such a folder, and ``venv``, an environment that has vLLM.

    Raises NotFound where neither is there, InvalidArgument for a model without a chat template.
    """
    directory = directory.resolve()
    config = _CONFIG.format(name=NAME)
    folder = directory
    if not (directory / "config.json").is_file():
        folder = directory / "model"
        if not (folder / "config.json").is_file() or not (directory / "venv" / "bin" / "python").exists():
            raise NotFound(
                f"{directory} holds no language model: expected a model folder with config.json, or model and"
                " venv as `make test-llm` makes them in build/llm"
            )
        config += _ENVIRONMENT.format(path=directory / "venv")
    if not (folder / "chat_template.jinja").is_file() and not _has_template(folder):
        raise InvalidArgument(f"the language model in {folder} has no chat template")
    arguments = json.dumps({"model": str(folder), **_ARGUMENTS}, indent=1).encode()
    return BuiltModel(
        name=NAME,
        backend="vllm",
        source=f"none: the folder {folder}",
        licence="that of the folder's model",
        checked="that the folder has a configuration and a chat template",
        summary="The language model of `rag` and `rag_bls`; `/v1/chat/completions` serves it too.",
        files={"config.pbtxt": config.encode(), "1/model.json": arguments},
    )


def _has_template(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    return path.is_file() and "chat_template" in json.loads(path.read_text(encoding="utf-8"))
