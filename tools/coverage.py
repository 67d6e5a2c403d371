"""Which lines of csrc the tests have run, room by room, from gcovr's JSON; fails below the bars.

    coverage.py REPORT.json [--missing ROOM ...]

Counted are lines that hold code, each once however many templates it is part of, and the branches of
csrc/protocol, which reads what strangers send. Branches that only an exception takes are not counted (gcovr
leaves them out).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINES_PERCENT = 90.0
BRANCHES_PERCENT = 95.0
PARSERS = "protocol"


@dataclass
class File:
    """What was run of a file: by line, and by line and number of the branch."""

    lines: dict[int, bool] = field(default_factory=dict)
    branches: dict[tuple[int, Any], bool] = field(default_factory=dict)


@dataclass
class Sum:
    run: int = 0
    all: int = 0

    def add(self, outcomes: dict[Any, bool]) -> None:
        self.run += sum(outcomes.values())
        self.all += len(outcomes)

    @property
    def percent(self) -> float:
        return 100.0 * self.run / self.all if self.all else 100.0

    def __str__(self) -> str:
        return f"{self.percent:6.2f} % of {self.all:5}"


def read(report: dict[str, Any]) -> dict[str, File]:
    """By path. A line or branch has run when it has in any of the functions that gcc made of it."""
    files: dict[str, File] = defaultdict(File)
    for entry in report["files"]:
        file = files[entry["file"]]
        for line in entry["lines"]:
            if line.get("gcovr/noncode"):
                continue
            number = line["line_number"]
            file.lines[number] = file.lines.get(number, False) or line["count"] > 0
            for branch in line["branches"]:
                key = (number, branch["branchno"])
                file.branches[key] = file.branches.get(key, False) or branch["count"] > 0
    return dict(files)


def room_of(path: str) -> str:
    return Path(path).parts[1]


def show_missing(files: dict[str, File], rooms: list[str]) -> None:
    for path, file in sorted(files.items()):
        if room_of(path) not in rooms:
            continue
        lines = sorted(number for number, run in file.lines.items() if not run)
        branches = sorted({number for (number, _), run in file.branches.items() if not run} - set(lines))
        if lines or branches:
            print(f"{path}: lines {lines}, branches of {branches}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("--missing", nargs="*", default=[], metavar="ROOM", help="name what has not run")
    flags = parser.parse_args()
    files = read(json.loads(flags.report.read_text(encoding="utf-8")))
    show_missing(files, flags.missing)
    rooms: dict[str, Sum] = defaultdict(Sum)
    total, branches = Sum(), Sum()
    for path, file in files.items():
        rooms[room_of(path)].add(file.lines)
        total.add(file.lines)
        if room_of(path) == PARSERS:
            branches.add(file.branches)
    for room, lines in sorted(rooms.items()):
        print(f"csrc/{room:10} {lines} lines")
    print(f"csrc            {total} lines")
    print(f"csrc/{PARSERS:10} {branches} branches")
    failures = []
    if total.percent < LINES_PERCENT:
        failures.append(f"{total.percent:.2f} % of the lines of csrc are run, wanted {LINES_PERCENT} %")
    if branches.percent < BRANCHES_PERCENT:
        failures.append(
            f"{branches.percent:.2f} % of the branches of csrc/{PARSERS} are taken, wanted {BRANCHES_PERCENT} %"
        )
    for failure in failures:
        print(f"naiad: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
