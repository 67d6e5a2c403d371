"""Texts by the row, for models that take several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from naiad.openai.catalogue import Entry
from naiad.openai.text_models import TextModels

T = TypeVar("T")


def in_parts(items: Sequence[T], max_rows: int) -> list[Sequence[T]]:
    """Parts of at most ``max_rows``; 0: all in one."""
    size = max_rows or len(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


def text_rows(texts: Sequence[str], column: bool) -> NDArray[Any]:
    """BYTES of shape [n, 1], or [n] where the rows are no column."""
    rows = np.array(list(texts), dtype=np.object_)
    return rows.reshape(-1, 1) if column else rows


async def num_tokens(text_models: TextModels, entry: Entry, texts: Sequence[str]) -> int:
    """The tokens of all texts, with those that the tokenizer puts around each; 0 where the model has none."""
    tokenizer = await text_models.tokenizer(entry)
    if tokenizer is None:
        return 0
    encoded = await asyncio.to_thread(tokenizer.encode_batch, list(texts))
    return sum(len(one.ids) for one in encoded)
