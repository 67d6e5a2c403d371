"""The audit of packages: findings fail, a missing service is told from one that knows of nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "pyproject.toml"
WEAK = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"]}]}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools/audit.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Commands:
    """Answers what the tool runs: the question about a weak release, the resolver, the audit."""

    def __init__(self, first: dict[str, Any] | str, *, resolver: int = 0, audit: int = 0) -> None:
        self.first = first if isinstance(first, str) else json.dumps({"dependencies": [first], "fixes": []})
        self.resolver = resolver
        self.audit = audit
        self.ran: list[str] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if "json" in command:
            self.ran.append("question")
            return subprocess.CompletedProcess(command, 1, self.first, "requests.ConnectionError: pypi.org\n")
        if "compile" in command:
            self.ran.append("resolver")
            assert "--all-extras" in command
            return subprocess.CompletedProcess(command, self.resolver, "", "no such version\n")
        self.ran.append("audit")
        assert "--strict" in command
        return subprocess.CompletedProcess(command, self.audit, "aiohttp 3.13.4 CVE-2026-1\n", "")


def test_nothing_known_passes(tool: ModuleType) -> None:
    commands = Commands(WEAK)
    assert tool.audit(PROJECT, if_reachable=True, run=commands) == 0
    assert commands.ran == ["question", "resolver", "audit"]


@pytest.mark.parametrize("if_reachable", [True, False])
def test_findings_fail_and_are_shown(
    tool: ModuleType, capsys: pytest.CaptureFixture[str], if_reachable: bool
) -> None:
    assert tool.audit(PROJECT, if_reachable=if_reachable, run=Commands(WEAK, audit=1)) == 1
    assert "aiohttp 3.13.4 CVE-2026-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "requests.ConnectionError: pypi.org"),
        ("<html>", "requests.ConnectionError: pypi.org"),
        ({"name": "jinja2", "skip_reason": "not found on PyPI"}, "not found on PyPI"),
        ({"name": "jinja2", "version": "2.4.1", "vulns": []}, "knows of no weakness of jinja2==2.4.1"),
    ],
)
def test_who_knows_no_weakness_of_a_weak_release_is_not_the_service(
    tool: ModuleType, capsys: pytest.CaptureFixture[str], answer: dict[str, Any] | str, why: str
) -> None:
    commands = Commands(answer)
    assert tool.audit(PROJECT, if_reachable=True, run=commands) == 0
    assert commands.ran == ["question"]
    said = capsys.readouterr().err
    assert "NOT AUDITED" in said and why in said
    assert tool.audit(PROJECT, if_reachable=False, run=Commands(answer)) == 2


def test_what_can_t_be_resolved_fails(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.audit(PROJECT, if_reachable=True, run=Commands(WEAK, resolver=1)) == 1
    assert "no such version" in capsys.readouterr().err
