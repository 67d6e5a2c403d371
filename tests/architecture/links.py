"""Links of the documentation: files, headings, and the functions that a page names by file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FUNCTION = re.compile(r"`?([\w./-]+\.(?:py|cc|h)):([\w.:~]+)`?")


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Label and target of every link of a page, those to other sites left out."""
    for label, target in _LINK.findall(_CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield label, target


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


def broken(page: Path) -> Iterator[str]:
    """Complaints about links that lead nowhere."""
    for label, target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{page.name}: [{label}] leads to {target}, which is not there"
        elif anchor and file.suffix == ".md" and anchor not in headings(file):
            yield f"{page.name}: {target} is no heading"


def functions(page: Path) -> list[tuple[str, str, str]]:
    """The links whose label is ``file:function``: file, function, target."""
    found = []
    for label, target in links(page):
        match = _FUNCTION.fullmatch(label)
        if match:
            found.append((match[1], match[2], target))
    return found


def unknown_functions(page: Path, root: Path) -> Iterator[str]:
    """Complaints about ``file:function`` labels: another file than the target, or no such function in it."""
    for name, function, target in functions(page):
        file = (page.parent / target).resolve()
        if file != (root / name).resolve() or not file.is_file():
            yield f"{page.name}: {name}:{function} leads to {target}"
        elif not defines(file, function):
            yield f"{page.name}: {name} has no {function}"


def defines(file: Path, function: str) -> bool:
    """Whether a file defines ``Class.function`` or ``function`` (Python), ``Class::function`` or ``function``
    (C++: declared, defined inline, or defined).
    """
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return function in set(_defined(ast.parse(text), ""))
    owner, _, last = function.rpartition("::")
    written = re.search(rf"(?<![\w.>]){re.escape(function)}\(", text)
    inside = re.search(rf"\b(class|struct) {re.escape(owner)}\b", text) and re.search(rf"\b{last}\(", text)
    return bool(written or (owner and inside))


def _defined(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name
            yield from _defined(child, f"{prefix}{child.name}.")
