"""Where the fields of a configuration stand in its text: protobuf's parser does not tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<name>[A-Za-z_][\w./]*|\[[A-Za-z_][\w./]*\](?=\s*[:{<]))|(?P<mark>[{}<>\[\]:,;])|(?P<other>[^\s{}<>\[\]:,;#"']+)"""
)
_CLOSES = {"{": "}", "<": ">"}


def field_lines(text: str) -> dict[str, int]:
    """Dotted field -> line, from 1. Of a repeated field each entry has its index (``input[1].dims``), and
    without index (``input``, ``input.dims``) stands the first one. As much as was read of a text with faults.
    """
    lines: dict[str, int] = {}
    _Reader(text, lines).message([""])
    return lines


def line_of(field: str, lines: Mapping[str, int]) -> int | None:
    """The line of the field, or of what it would stand in; None where neither is there."""
    while field:
        if field in lines:
            return lines[field]
        # ``a.b[0]`` -> ``a.b`` -> ``a``
        field = field.rpartition("[")[0] if field.endswith("]") else field.rpartition(".")[0]
    return None


class _Reader:
    """Reads names and braces; values are passed over."""

    def __init__(self, text: str, lines: dict[str, int]) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        line = 1
        place = 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", place, match.start())
            place = match.start()
            if match.lastgroup != "skip":
                self._tokens.append((match.lastgroup or "", match[0], line))
        self._place = 0
        self._lines = lines

    def message(self, prefixes: Sequence[str], close: str = "") -> None:
        """``prefixes``: all spellings of the field that the message is."""
        counts: Counter[str] = Counter()
        while self._place < len(self._tokens):
            kind, token, line = self._tokens[self._place]
            self._place += 1
            if token == close:
                return
            if kind == "name":
                self._field(prefixes, token, line, counts)

    def _field(self, prefixes: Sequence[str], name: str, line: int, counts: Counter[str]) -> None:
        if self._peek() == ":":
            self._place += 1
        if self._peek() == "[":
            self._place += 1
            self._note(prefixes, name, line, None)
            while self._place < len(self._tokens) and self._peek() != "]":
                token, own_line = self._tokens[self._place][1:]
                self._place += 1
                if token == ",":
                    continue
                spellings = self._note(prefixes, name, own_line, counts[name])
                counts[name] += 1
                if token in _CLOSES:
                    self.message(spellings, _CLOSES[token])
            self._place += 1
            return
        spellings = self._note(prefixes, name, line, counts[name])
        counts[name] += 1
        token = self._peek()
        self._place += 1
        if token in _CLOSES:
            self.message(spellings, _CLOSES[token])

    def _note(self, prefixes: Sequence[str], name: str, line: int, index: int | None) -> list[str]:
        """All spellings of a field."""
        spellings = []
        for before in prefixes:
            path = f"{before}.{name}" if before else name
            if index is not None:
                spellings.append(f"{path}[{index}]")
            if not index:
                spellings.append(path)
        for spelling in spellings:
            self._lines.setdefault(spelling, line)
        return spellings

    def _peek(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""
