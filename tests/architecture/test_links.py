"""Links of the documentation lead somewhere; and the checker sees those that do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from links import broken, defines, functions, unknown_functions

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
REQUEST_PATH = ROOT / "docs/request_path.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_the_request_path_names_functions_that_exist() -> None:
    assert list(unknown_functions(REQUEST_PATH, ROOT)) == []


def test_each_step_of_the_request_path_names_functions() -> None:
    steps = re.split(r"^## ", REQUEST_PATH.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(steps) >= 9
    assert len(functions(REQUEST_PATH)) >= 2 * len(steps)


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One: two\n[a](page.md#one-two) [b](gone.md) [c](#nothing) [d](https://example.org)\n"
        "```\n[e](in_code.md)\n```\n"
    )
    assert list(broken(page)) == [
        "page.md: [b] leads to gone.md, which is not there",
        "page.md: #nothing is no heading",
    ]


def test_unknown_functions_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class A:\n    async def b(self): ...\ndef c(): ...\n")
    page = tmp_path / "page.md"
    page.write_text("[a.py:A.b](a.py) [`a.py:c`](a.py) [a.py:b](a.py) [b.py:c](a.py) [a plain one](a.py)\n")
    assert list(unknown_functions(page, tmp_path)) == [
        "page.md: a.py has no b",
        "page.md: b.py:c leads to a.py",
    ]


def test_functions_of_cpp_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a.cc"
    file.write_text(
        "class Ring {\n  bool try_pop();\n};\nStatus Engine::find(int x) {\n  other.push(1);\n}\n"
    )
    assert defines(file, "Engine::find")
    assert defines(file, "Ring::try_pop")
    assert not defines(file, "Engine::submit")
    assert not defines(file, "push")
