"""``naiad ray`` without a cluster: what it says, and that it needs nothing of Ray to say it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from naiad.cli.app import app


def run(*words: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(app, ["ray", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize("words", [("deploy", "models"), ("status",), ("shutdown",)])
def test_without_ray(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    status, said = run(*words)
    assert status == 1
    assert "error: Ray is not installed in this environment" in said
    assert "next: pip install 'naiad[ray]'" in said


def test_what_contradicts_itself_needs_no_cluster(tmp_path: Path) -> None:
    status, said = run("deploy", str(tmp_path), "--target-queue-depth=3")
    assert status == 2
    assert "error: --target-queue-depth needs --max-replicas" in said
    assert "next: `naiad ray deploy --help`" in said


@pytest.mark.parametrize(
    ("flags", "where"), [((), "on this machine"), (("--cluster=head:6379",), "at head:6379")]
)
def test_where_there_is_no_cluster(
    flags: tuple[str, ...], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nMore of it.")

    module = SimpleNamespace(is_initialized=lambda: False, init=refuse, serve=None)
    monkeypatch.setitem(sys.modules, "ray", module)
    status, said = run("status", *flags)
    assert status == 1
    assert f"there is no Ray cluster {where} (Could not find any running Ray instance.)" in said
    assert "`ray start --head` starts a cluster" in said


def test_starting_the_command_line_imports_no_ray() -> None:
    code = "import sys, naiad.cli; sys.exit(any(name.split('.')[0] == 'ray' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=100, check=False).returncode == 0
