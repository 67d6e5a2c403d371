"""The tests that a page names: ``file::test`` in code, the file below ``tests/``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_NAMED = re.compile(r"`((?:architecture|cpp|fuzz|integration|unit)/[\w./]+\.(?:py|cc))(?:::([^`]+))?`")
_CASE = re.compile(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"')


def named_tests(page: Path) -> list[tuple[str, str]]:
    """Files and tests; no test where a whole file is meant."""
    return _NAMED.findall(page.read_text(encoding="utf-8"))


def unknown_tests(page: Path, tests: Path) -> Iterator[str]:
    """Complaints about files and tests that do not exist."""
    for name, test in named_tests(page):
        file = tests / name
        if not file.is_file():
            yield f"{page.name}: there is no tests/{name}"
        elif test and test not in _tests_of(file):
            yield f"{page.name}: tests/{name} has no test {test!r}"


def _tests_of(file: Path) -> set[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".cc":
        return set(_CASE.findall(text))
    return {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
