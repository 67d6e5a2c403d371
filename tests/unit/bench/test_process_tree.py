from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sidebyside import process_tree
from sidebyside.process_tree import ProcessStat


def stat_line(
    pid: int, parent: int, session: int, ticks: tuple[int, int, int, int], name: str = "server"
) -> str:
    user, system, children_user, children_system = ticks
    return (
        f"{pid} ({name}) S {parent} {pid} {session} 0 -1 4194560 900 800 0 0 "
        f"{user} {system} {children_user} {children_system} 20 0 1 0 5000 1000 50\n"
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    def write(pid: int, text: str) -> None:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(text)

    write(10, stat_line(10, 1, 10, (100, 20, 7, 3)))
    write(11, stat_line(11, 10, 10, (50, 5, 0, 0), name="a (strange) name"))
    write(12, stat_line(12, 11, 12, (30, 3, 0, 0)))  # a grandchild with a session of its own
    write(13, stat_line(13, 1, 10, (2, 2, 0, 0)))  # its parent has gone, its session tells whose it is
    write(99, stat_line(99, 1, 99, (5000, 5000, 0, 0)))  # somebody else's
    (tmp_path / "loadavg").write_text("0 0 0")
    return tmp_path


def test_stat_with_spaces_and_parentheses_in_the_name() -> None:
    parsed = process_tree.parse_stat(stat_line(11, 10, 9, (1, 2, 4, 8), name="a) b (c 1 2"))
    assert parsed == ProcessStat(pid=11, parent_pid=10, session=9, cpu_ticks=15)


def test_tree_has_descendants_and_session_and_nobody_else(proc: Path) -> None:
    assert sorted(s.pid for s in process_tree.read_tree(10, proc)) == [10, 11, 12, 13]


def test_cpu_counts_user_and_system_of_all_and_of_reaped_children(proc: Path) -> None:
    ticks = 130 + 55 + 33 + 4
    assert process_tree.cpu_seconds(10, proc) == ticks / os.sysconf("SC_CLK_TCK")


def test_a_process_that_goes_away_is_left_out(proc: Path) -> None:
    (proc / "12" / "stat").unlink()
    assert sorted(s.pid for s in process_tree.read_tree(10, proc)) == [10, 11, 13]


def test_memory_adds_rss_and_pss_over_the_tree(proc: Path) -> None:
    for pid, rss, pss in ((10, 1000, 700), (11, 500, 100), (99, 9000, 9000)):
        text = f"00400000-7fff [rollup]\nRss:   {rss} kB\nPss:   {pss} kB\nPss_Anon:  1 kB\n"
        (proc / str(pid) / "smaps_rollup").write_text(text)
    assert process_tree.memory(10, proc) == process_tree.TreeMemory(1500 * 1024, 800 * 1024)


def test_a_real_child_is_found_and_its_time_stays_when_it_has_ended() -> None:
    script = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', "
        "'import time\\nwhile time.process_time() < 0.1: pass']); print('done', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        assert process_tree.cpu_seconds(child.pid) >= 0.09
        memory = process_tree.memory(child.pid)
        assert memory.rss_bytes >= memory.pss_bytes > 0
        child.communicate("\n")
