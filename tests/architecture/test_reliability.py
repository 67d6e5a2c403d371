"""Each promise of the page names a test, and each test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from named_tests import named_tests, unknown_tests

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def test_the_tests_exist() -> None:
    assert list(unknown_tests(PAGE, ROOT / "tests")) == []


def test_each_fault_has_one() -> None:
    rows = re.findall(r"^\| (F\d\d) .*$", PAGE.read_text(), re.MULTILINE)
    assert rows == [f"F{number:02}" for number in range(1, 33)]
    for row in re.findall(r"^\| (?:F\d\d) .*$", PAGE.read_text(), re.MULTILINE):
        assert "`" in row.rsplit("|", 2)[1], row


def test_unknown_tests_are_found(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_a.py").write_text("def test_b(): ...\ndef c(): ...\n")
    (tmp_path / "unit" / "d.cc").write_text('TEST_CASE("e: f") {}\n')
    page = tmp_path / "page.md"
    page.write_text(
        "`unit/test_a.py` `unit/test_a.py::test_b` `unit/test_a.py::c` `unit/d.cc::e: f` `unit/g.cc::h`"
    )
    assert len(named_tests(page)) == 5
    assert list(unknown_tests(page, tmp_path)) == [
        "page.md: tests/unit/test_a.py has no test 'c'",
        "page.md: there is no tests/unit/g.cc",
    ]
