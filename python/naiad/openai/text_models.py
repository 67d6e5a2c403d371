"""The tokenizers and templates of the models that are served, read when they are first asked for."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from naiad.errors import NotFound
from naiad.openai.catalogue import Entry
from naiad.openai.chat_template import ChatTemplate
from naiad.openai.errors import ApiError
from naiad.openai.text_files import TextFiles, find_text_files
from naiad.repository.scan import ModelDirectory

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextModels:
    """Finds the text files of models. The event loop's thread; files are read on others."""

    def __init__(self, find: Callable[[str], ModelDirectory]) -> None:
        """``find``: a model's directory by its name, looked for anew. Called on other threads."""
        self._find_directory = find
        # By the version that is served: a model that is loaded again is another one.
        self._found: weakref.WeakKeyDictionary[Any, TextFiles | None] = weakref.WeakKeyDictionary()

    async def of(self, entry: Entry) -> TextFiles | None:
        """The model's own; None: it has none."""
        served = entry.served
        if served not in self._found:
            self._found[served] = await asyncio.to_thread(self._find, entry)
        return self._found[served]

    async def template(self, entry: Entry) -> ChatTemplate | None:
        """The model's chat template; None without one."""
        files = await self.of(entry)
        return None if files is None else await _read_once(files, "template")

    async def tokenizer(self, entry: Entry) -> Tokenizer | None:
        """The model's tokenizer; None without one."""
        files = await self.of(entry)
        return None if files is None else await _read_once(files, "tokenizer")

    async def special_words(self, entry: Entry) -> frozenset[str]:
        """The special tokens of the model's tokenizer; none without one."""
        files = await self.of(entry)
        return frozenset() if files is None else await _read_once(files, "special_words")

    async def needed_tokenizer(self, entry: Entry, param: str) -> Tokenizer:
        """The same, which ``param`` of the request needs."""
        tokenizer = await self.tokenizer(entry)
        if tokenizer is None:
            raise ApiError(
                400, f"'{param}' needs the tokenizer of the model '{entry.name}', which has none", param=param
            )
        return tokenizer

    def _find(self, entry: Entry) -> TextFiles | None:
        try:
            directory = self._find_directory(entry.name)
        except NotFound:
            return None  # it was taken away, and the model serves on
        return find_text_files(directory, entry.served.version, entry.config)


async def _read_once(files: TextFiles, name: str) -> Any:
    """A cached property, made on another thread."""
    if name in vars(files):
        return vars(files)[name]
    return await asyncio.to_thread(getattr, files, name)
