"""The corpus: short passages with an id each, a paragraph ``[id]`` and text in ``corpus.txt``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import Internal

CORPUS = Path(__file__).with_name("corpus.txt")
_PASSAGE = re.compile(r"\[([a-z0-9-]+)\]\n(.+)", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A text that is found as a whole."""

    id: str
    text: str


def read_corpus(text: str) -> list[Passage]:
    """The passages, in order. Raises Internal for a text that is no corpus."""
    passages = []
    for paragraph in text.strip().split("\n\n"):
        match = _PASSAGE.fullmatch(paragraph.strip())
        if match is None:
            raise Internal(f"a passage of the corpus should be [id] and a text, got {paragraph[:60]!r}")
        passages.append(Passage(match[1], " ".join(match[2].split())))
    ids = [passage.id for passage in passages]
    if len(set(ids)) != len(ids):
        raise Internal("two passages of the corpus have one id")
    return passages
