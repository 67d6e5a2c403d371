"""What lies beside a model for text: its tokenizer and its chat template, from a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.config import ModelConfig
from naiad.openai.chat_template import ChatTemplate
from naiad.openai.errors import ApiError
from naiad.repository.scan import ModelDirectory

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MISSING = "this needs tokenizers, which is not installed here: pip install 'naiad[openai]'"
PARAMETER = "tokenizer"
_ENGINE_FILE = "model.json"
_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# transformers writes 1e30 where there is no limit.
_NO_LIMIT = 10**9


@dataclass(frozen=True)
class TextFiles:
    """The folder of a model's tokenizer, and what of it is used. Any thread."""

    folder: Path
    max_length: int | None = None
    """Of a prompt with its answer, in tokens, where the engine's arguments say it."""
    _settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """None where there is no ``tokenizer.json``."""
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            return None
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ApiError(501, MISSING, code="missing_dependency") from None
        tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        # What the file says of training; a prompt is as long as it is.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def special_words(self) -> frozenset[str]:
        """The special tokens of the tokenizer, which are not written unless they are asked for."""
        if self.tokenizer is None:
            return frozenset()
        added = self.tokenizer.get_added_tokens_decoder().values()
        return frozenset(token.content for token in added if token.special)

    @cached_property
    def template(self) -> ChatTemplate | None:
        """``chat_template.jinja``, or what ``tokenizer_config.json`` has; None without one."""
        source = self._template_source()
        return None if source is None else ChatTemplate(source, self._special_tokens())

    @property
    def limit(self) -> int | None:
        """The longest prompt with its answer, in tokens; None where nothing says it."""
        if self.max_length is not None:
            return self.max_length
        length = self._settings.get("model_max_length")
        return length if isinstance(length, int) and 0 < length < _NO_LIMIT else None

    def _template_source(self) -> str | None:
        path = self.folder / "chat_template.jinja"
        if path.is_file():
            return path.read_text(encoding="utf-8")
        source = self._settings.get("chat_template")
        if isinstance(source, list):  # several, by name
            named = {each.get("name"): each.get("template") for each in source if isinstance(each, dict)}
            source = named.get("default")
        return source if isinstance(source, str) else None

    def _special_tokens(self) -> dict[str, str]:
        tokens = {}
        for name in _SPECIAL:
            token = self._settings.get(name)
            if isinstance(token, dict):
                token = token.get("content")
            if isinstance(token, str):
                tokens[name] = token
        return tokens


def find_text_files(directory: ModelDirectory, version: int, config: ModelConfig) -> TextFiles | None:
    """The model's folder: the parameter ``tokenizer`` of its config.pbtxt (a path in the model directory), or
    ``tokenizer`` or ``model`` of the engine's arguments in ``model.json``. None: it has none.
    """
    named = config.parameters.get(PARAMETER)
    if named:
        folder = directory.file(named)
        if not folder.is_dir():
            raise ApiError(500, f"the folder '{named}' that parameter '{PARAMETER}' names is not there")
        return _read(folder, None)
    path = directory.version_path(version) / _ENGINE_FILE
    if config.backend != "vllm" or not path.is_file():
        return None
    arguments = _json(path)
    length = arguments.get("max_model_len")
    for key in ("tokenizer", "model"):
        name = arguments.get(key)
        # A name that is no folder here is one of a model hub, which the engine knows.
        if isinstance(name, str):
            name = name.replace(_DIRECTORY, str(directory.path), 1)
            for base in (path.parent, directory.path, Path()):
                if (base / name / "tokenizer_config.json").is_file():
                    return _read(base / name, length if isinstance(length, int) else None)
    return None


def _read(folder: Path, max_length: int | None) -> TextFiles:
    path = folder / "tokenizer_config.json"
    return TextFiles(folder, max_length, _json(path) if path.is_file() else {})


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ApiError(500, f"{path.name} of the model is not valid JSON") from None
    if not isinstance(value, dict):
        raise ApiError(500, f"{path.name} of the model should hold an object")
    return value


def encode(tokenizer: Tokenizer, text: str, *, special: bool) -> list[int]:
    """The ids of ``text``; ``special``: with those that the tokenizer puts around it."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=special).ids
    return ids


def decode(tokenizer: Tokenizer, ids: Sequence[int], param: str) -> str:
    """The text of ``ids``, special ones too. Refuses ids that are not in the vocabulary."""
    if any(id_ >= 2**32 or tokenizer.id_to_token(id_) is None for id_ in ids):
        raise ApiError(400, f"'{param}' has ids that are not in the vocabulary", param=param)
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False)
    return text


def text_of(tokenizer: Tokenizer, ids: Sequence[int], param: str) -> str:
    """The text that a model reads as exactly these ids, without tokens around it. Refuses ids that no text
    becomes: models take text.
    """
    text = decode(tokenizer, ids, param)
    if encode(tokenizer, text, special=False) != list(ids):
        raise ApiError(400, f"'{param}' has ids that no text becomes; send the text itself", param=param)
    return text
