"""How much of csrc the tests have run, room by room, from the summary of llvm-cov; fails below the bars.

    coverage.py SUMMARY.json

SUMMARY.json is what `llvm-cov export --summary-only` prints. Counted are the lines of code of csrc but for
csrc/cuda, which needs a GPU, and the branches of csrc/protocol, which reads what strangers send: each outcome
of each condition in the source. What compilers add, for exceptions say, is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES_PERCENT = 90.0
BRANCHES_PERCENT = 95.0
PARSERS = "protocol"
LEFT_OUT = ("cuda", "no_cuda")


@dataclass
class Share:
    """So many of so many."""

    run: int = 0
    all: int = 0

    def add(self, summary: dict[str, Any]) -> None:
        self.run += summary["covered"]
        self.all += summary["count"]

    @property
    def percent(self) -> float:
        return 100.0 * self.run / self.all if self.all else 0.0

    def __str__(self) -> str:
        return f"{self.percent:6.2f} % of {self.all:5}"


def shares(summary: dict[str, Any]) -> tuple[dict[str, Share], Share]:
    """The lines of each room, and the branches of the parsers."""
    rooms: dict[str, Share] = defaultdict(Share)
    branches = Share()
    for file in summary["data"][0]["files"]:
        parts = Path(file["filename"]).parts
        if "csrc" not in parts:
            continue
        room = parts[parts.index("csrc") + 1]
        if room in LEFT_OUT:
            continue
        rooms[room].add(file["summary"]["lines"])
        if room == PARSERS:
            branches.add(file["summary"]["branches"])
    return dict(rooms), branches


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("summary", type=Path)
    rooms, branches = shares(json.loads(parser.parse_args(arguments).summary.read_text(encoding="utf-8")))
    total = Share(sum(lines.run for lines in rooms.values()), sum(lines.all for lines in rooms.values()))
    for room, lines in sorted(rooms.items()):
        print(f"csrc/{room:9} {lines} lines")
    print(f"csrc           {total} lines")
    print(f"csrc/{PARSERS:9} {branches} branches")
    short = [
        f"{share.percent:.2f} % of the {what}, wanted {wanted:.0f} %"
        for share, wanted, what in (
            (total, LINES_PERCENT, "lines of csrc"),
            (branches, BRANCHES_PERCENT, f"branches of csrc/{PARSERS}"),
        )
        if share.percent < wanted
    ]
    for words in short:
        print(f"naiad: the tests run {words}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
