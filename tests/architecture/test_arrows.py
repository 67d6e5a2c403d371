"""No arrow turns back: neither in the code nor in CMake; and the checker sees one that does."""

from __future__ import annotations

from pathlib import Path

import pytest
from arrows import cmake_arrows, cycles, imports, includes, reach, read_arrows, turned_back

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
CPP = read_arrows(PAGE, "c++")
PYTHON = read_arrows(PAGE, "python")


def test_includes_go_down() -> None:
    assert list(turned_back(CPP, includes(ROOT / "csrc"))) == []


def test_imports_go_down() -> None:
    assert list(turned_back(PYTHON, imports(ROOT / "python/naiad"))) == []


@pytest.mark.parametrize("arrows", [CPP, PYTHON], ids=["c++", "python"])
def test_the_table_itself_goes_down(arrows: dict[str, frozenset[str]]) -> None:
    assert cycles(arrows) == []


def test_every_room_is_in_the_table() -> None:
    assert {folder.name for folder in (ROOT / "csrc").iterdir() if any(folder.glob("*.*"))} == set(CPP)


def test_cmake_links_what_the_table_allows() -> None:
    linked = cmake_arrows((ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert linked.keys() >= {"base", "memory", "engine"}
    assert [room for room, known in linked.items() if not known <= reach(CPP, room)] == []


def test_only_engine_imports_the_core() -> None:
    assert {file for file, _, known, _ in imports(ROOT / "python/naiad") if known == "_core"} == {"engine.py"}


def test_an_include_that_goes_up_is_found(tmp_path: Path) -> None:
    for name, text in {
        "base/log.cc": '#include "base/log.h"\n  #include "engine/engine.h"\n',
        "cuda/pin.cc": '#include "memory/device.h"\n#include "memory/arena.h"\n',
        "attic/old.h": '#include "base/log.h"\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    arrows = {
        "base": frozenset[str](),
        "memory": frozenset({"base"}),
        "cuda": frozenset({"base", "memory/device.h"}),
        "engine": frozenset({"memory"}),
    }
    assert list(turned_back(arrows, includes(tmp_path))) == [
        "attic/old.h: the room 'attic' is not in the table",
        "base/log.cc: base may not know engine/engine.h",
        "cuda/pin.cc: cuda may not know memory/arena.h",
    ]


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    package = tmp_path / "naiad"
    (package / "config").mkdir(parents=True)
    (package / "config/parse.py").write_text("def f():\n    from naiad.server import serve\n")
    (package / "config/late.py").write_text("from naiad import errors, server\nfrom . import parse\n")
    (package / "errors.py").write_text("import naiad.config.parse\nimport os\n")
    arrows = {"errors": frozenset[str](), "config": frozenset({"errors"}), "server": frozenset({"config"})}
    assert list(turned_back(arrows, imports(package))) == [
        "config/late.py: config may not know naiad.server",
        "config/late.py: config may not know naiad.<relative import>",
        "config/parse.py: config may not know naiad.server",
        "errors.py: errors may not know naiad.config.parse",
    ]


def test_a_circle_in_the_table_is_found() -> None:
    assert cycles(
        {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset("a")}
    ) == [
        "a",
        "b",
        "c",
    ]


def test_cmake_is_read() -> None:
    text = (
        "naiad_room(base)\nnaiad_room(memory DEPENDS base ${DEVICE})\n  naiad_room(${DEVICE} DEPENDS base)\n"
    )
    assert cmake_arrows(text) == {"base": frozenset(), "memory": frozenset({"base"})}
