"""What `make coverage` says of the core, and when it fails."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_csrc", ROOT / "tools/coverage.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    # Its dataclasses look for their module there.
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def entry(path: str, lines: tuple[int, int], branches: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    summary = {
        name: {"covered": run, "count": count}
        for name, (run, count) in (("lines", lines), ("branches", branches))
    }
    return {"filename": f"/checkout/{path}", "summary": summary}


def outcome(tool: ModuleType, folder: Path, *files: dict[str, Any]) -> int:
    summary = folder / "summary.json"
    summary.write_text(json.dumps({"data": [{"files": list(files)}]}))
    status: int = tool.main([str(summary)])
    return status


def test_rooms_are_summed(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = outcome(
        tool,
        tmp_path,
        entry("csrc/io/a.cc", (90, 100)),
        entry("csrc/io/b.cc", (100, 100)),
        entry("csrc/protocol/c.cc", (100, 100), (95, 100)),
        entry("csrc/cuda/d.cc", (0, 900)),
        entry("tests/cpp/io/e.cc", (0, 900), (0, 900)),
    )
    assert status == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "csrc/io 95.00 % of 200 lines",
        "csrc/protocol 100.00 % of 100 lines",
        "csrc 96.67 % of 300 lines",
        "csrc/protocol 95.00 % of 100 branches",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([entry("csrc/protocol/a.cc", (89, 100), (95, 100))], "89.00 % of the lines of csrc, wanted 90 %"),
        ([entry("csrc/protocol/a.cc", (90, 100), (94, 100))], "94.00 % of the branches of csrc/protocol"),
        ([], "0.00 % of the lines"),
    ],
)
def test_too_few_fail(
    tool: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: list[dict[str, Any]],
    words: str,
) -> None:
    assert outcome(tool, tmp_path, *files) == 1
    assert words in capsys.readouterr().err
