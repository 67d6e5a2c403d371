"""Asks PyPI, through pip-audit, whether weaknesses are known of what naiad and all its extras install.

A mirror that carries no weaknesses answers like a PyPI that knows of none. So a release whose weaknesses have
long been published is asked for first: who does not name them is not the service, and nothing is said about
naiad then.

    audit.py PROJECT [--if-reachable]

PROJECT is a pyproject.toml. Ends with 0 (nothing known), 1 (weaknesses, or what could not be audited), 2 (the
service was not reached; 0 with --if-reachable).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# Known of it, among others: CVE-2014-1402, CVE-2016-10745.
KNOWN_WEAK = "jinja2==2.4.1"
BIN = Path(sys.executable).parent

# Runs a command with its output captured.
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def pip_audit(requirements: Path, *flags: str) -> list[str]:
    """The command that asks about a list of pinned requirements as it stands."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    return [*command, *flags, "-r", str(requirements)]


def why_unreachable(run: Run, folder: Path) -> str:
    """Why the service can't be asked; empty where it can."""
    canary = folder / "known-weak.txt"
    canary.write_text(KNOWN_WEAK + "\n", encoding="utf-8")
    answer = run(pip_audit(canary, "--format", "json"))
    try:
        packages = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = answer.stderr.strip().splitlines() or [f"pip-audit ended with {answer.returncode}"]
        return lines[-1]
    if any(package.get("vulns") for package in packages):
        return ""
    reasons = [package["skip_reason"] for package in packages if "skip_reason" in package]
    return "; ".join(reasons) or f"it knows of no weakness of {KNOWN_WEAK}, which has some"


def audit(project: Path, *, if_reachable: bool, run: Run) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if why := why_unreachable(run, folder):
            print(
                f"naiad: NOT AUDITED: PyPI's database of weaknesses was not reached: {why}", file=sys.stderr
            )
            print("naiad: where it can be, `make audit` asks it", file=sys.stderr)
            return 0 if if_reachable else 2
        pinned = folder / "requirements.txt"
        resolved = run(
            [str(BIN / "uv"), "pip", "compile", "-q", "--all-extras", str(project), "-o", str(pinned)]
        )
        if resolved.returncode != 0:
            print(f"naiad: {project} and its extras can't be resolved\n{resolved.stderr}", file=sys.stderr)
            return 1
        found = run(pip_audit(pinned, "--strict"))
        print(found.stdout, found.stderr, sep="", end="", file=sys.stderr)
        return 0 if found.returncode == 0 else 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("--if-reachable", action="store_true")
    flags = parser.parse_args()
    return audit(
        flags.project,
        if_reachable=flags.if_reachable,
        run=lambda command: subprocess.run(command, capture_output=True, text=True, check=False),
    )


if __name__ == "__main__":
    sys.exit(main())
