"""The table of ``make gpu``, and the draft of its results."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass
class Outcome:
    """Of one step."""

    word: str
    """passed, failed or skipped"""
    told: str = ""
    rows: list[Row] = field(default_factory=list)
    """What a bench measured."""
    table: list[str] = field(default_factory=list)
    """Lines that a bench has written itself."""
    took_s: float = 0.0


def results_in(output: str) -> list[Row]:
    """What a bench has said in its last line; empty where that is something else."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1])["results"] if lines else []
    except (ValueError, KeyError, TypeError):
        return []
    return list(found)


def table(outcomes: Mapping[str, Outcome], goals: list[Row], *, dry: bool) -> str:
    """All steps, then what they measured and which goals that meets. Without figures of a dry run: those are
    of no GPU.
    """
    lines = [""]
    for name, outcome in outcomes.items():
        lines.append(f"{name:16} {outcome.word:8} {outcome.took_s:6.1f} s  {outcome.told}".rstrip())
    if dry:
        return "\n".join([*lines, "", "a dry run: no GPU has done any of this, and its figures say nothing"])
    for name, outcome in outcomes.items():
        if outcome.rows or outcome.table:
            lines += ["", name, *_markdown(outcome.rows), *outcome.table]
    return "\n".join([*lines, "", "goals", *_markdown(goals)])


def _markdown(rows: list[Row]) -> list[str]:
    lines: list[str] = []
    names: list[str] = []
    for row in rows:
        if list(row) != names:
            names = list(row)
            lines += ["", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines.append("| " + " | ".join(_shown(value) for value in row.values()) + " |")
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "not told"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draft(folder: Path, facts: Mapping[str, str], outcomes: Mapping[str, Outcome], goals: list[Row]) -> Path:
    """Writes it: figures and what they were measured on. Somebody reads it before it is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gpu-{time.strftime('%Y-%m-%d-%H%M', time.gmtime())}.md"
    lines = ["# On a GPU (a draft)", "", "Written by `make gpu`, of one run.", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for name, outcome in outcomes.items():
        lines += ["", f"## {name}", "", f"{outcome.word} in {outcome.took_s:.1f} s. {outcome.told}".rstrip()]
        lines += [*_markdown(outcome.rows), "", *outcome.table]
    lines += ["", "## Goals", *_markdown(goals)]
    path.write_text("\n".join(lines) + "\n")
    return path
