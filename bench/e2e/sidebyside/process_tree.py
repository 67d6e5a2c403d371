"""The CPU time and memory of a process and all that it started, read from /proc.

All functions: any thread. A process that ends between two reads is left out, never an error.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessStat:
    """The fields of /proc/PID/stat that the bench needs. `cpu_ticks`: own and of children waited for."""

    pid: int
    parent_pid: int
    session: int
    cpu_ticks: int


@dataclass(frozen=True)
class TreeMemory:
    """Memory of a process tree in bytes. RSS counts a shared page once per process, PSS once in all."""

    rss_bytes: int
    pss_bytes: int


def parse_stat(text: str) -> ProcessStat:
    """Parse /proc/PID/stat: user + system time, own and of reaped children (fields 14 to 17 of proc(5)).

    The command name, field 2, is in parentheses and may hold spaces and parentheses itself.
    """
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        parent_pid=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=sum(int(ticks) for ticks in fields[11:15]),
    )


def members(stats: list[ProcessStat], root_pid: int) -> list[ProcessStat]:
    """Those of `stats` that descend from `root_pid` or are of its session (when a parent has gone)."""
    chosen = {root_pid}
    grown = True
    while grown:
        found = {s.pid for s in stats if s.parent_pid in chosen or s.session == root_pid}
        grown = not found <= chosen
        chosen |= found
    return [s for s in stats if s.pid in chosen]


def read_tree(root_pid: int, proc: Path = PROC) -> list[ProcessStat]:
    """The processes of the tree under `root_pid` as they are now."""
    stats = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stats.append(parse_stat((entry / "stat").read_text()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return members(stats, root_pid)


def cpu_seconds(root_pid: int, proc: Path = PROC) -> float:
    """User + system seconds that the tree has used so far. The kernel's step is one tick, mostly 10 ms."""
    return sum(s.cpu_ticks for s in read_tree(root_pid, proc)) / os.sysconf("SC_CLK_TCK")


def memory(root_pid: int, proc: Path = PROC) -> TreeMemory:
    """The memory of the tree from smaps_rollup."""
    rss_kib = pss_kib = 0
    for stat in read_tree(root_pid, proc):
        try:
            text = (proc / str(stat.pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
        rss_kib += int(fields["Rss"])
        pss_kib += int(fields["Pss"])
    return TreeMemory(rss_kib * 1024, pss_kib * 1024)
