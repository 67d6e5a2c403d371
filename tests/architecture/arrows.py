"""Who may know whom: the tables of docs/architecture.md against the includes and imports of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Arrows = Mapping[str, frozenset[str]]
"""What each room may know directly: rooms, or single headers (``memory/device.h``)."""

_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
_CMAKE_ROOM = re.compile(r"^naiad_room\((\w+)(?:\s+DEPENDS\s+([^)]*))?\)", re.MULTILINE)


def read_arrows(page: str, language: str) -> Arrows:
    """The table after ``<!-- arrows: LANGUAGE -->``: rooms first, then what they may know."""
    table = page.split(f"<!-- arrows: {language} -->\n")[1].split("\n\n")[0]
    rows = table.splitlines()
    arrows: dict[str, frozenset[str]] = {}
    for row in rows[2:]:
        rooms, known = (re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:3])
        for room in rooms:
            arrows[room] = frozenset(known)
    return arrows


def reach(arrows: Arrows, room: str) -> set[str]:
    """What a room may know: itself, what its row says, and what those may know."""
    reached: set[str] = set()
    waiting = {room}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= set(arrows.get(name, ())) - reached
    return reached


def turned_back(arrows: Arrows, knows: Iterator[tuple[str, str, str, str]]) -> Iterator[str]:
    """Complaints about ``(file, its room, known room, known module or header)`` that no arrow allows."""
    for file, room, known_room, known in knows:
        if room not in arrows:
            yield f"{file}: the room '{room}' is not in the table"
        elif not {known_room, known} & reach(arrows, room):
            yield f"{file}: {room} may not know {known}"


def cycles(arrows: Arrows) -> list[str]:
    """Rooms that reach themselves again: a table with one allows everything on the way."""
    return [room for room, known in arrows.items() if any(room in reach(arrows, other) for other in known)]


def includes(csrc: Path) -> Iterator[tuple[str, str, str, str]]:
    """Every quoted include of a source tree."""
    for file in sorted(csrc.rglob("*.*")):
        if file.suffix not in {".h", ".cc", ".cu"}:
            continue
        for header in _INCLUDE.findall(file.read_text(encoding="utf-8")):
            where = str(file.relative_to(csrc))
            yield where, file.relative_to(csrc).parts[0], header.split("/")[0], header


def imports(package: Path) -> Iterator[tuple[str, str, str, str]]:
    """Every import of the package's own modules, those within functions and for type checkers too."""
    for file in sorted(package.rglob("*.py")):
        inside = file.relative_to(package)
        room = inside.parts[0].removesuffix(".py")
        for module in _imported(ast.parse(file.read_text(encoding="utf-8")), package.name):
            yield str(inside), room, module.split(".")[1], module


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"{package}.<relative import>"]
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            names = [f"{package}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (name for name in names if name.startswith(package + "."))


def cmake_arrows(cmake: str) -> Arrows:
    """The rooms that CMake gives each room, variables left out."""
    return {
        room: frozenset(name for name in depends.split() if not name.startswith("$"))
        for room, depends in _CMAKE_ROOM.findall(cmake)
    }
