"""Memory that goes back, and how much there is."""

from __future__ import annotations

import subprocess
import sys
import threading

from naiad.repository.memory import Trimmer, own_bytes

_SLEEPER = "import sys; block = bytearray(64 << 20); print('there', flush=True); sys.stdin.read()"


def test_many_asks_are_one_trim() -> None:
    done = threading.Event()
    count = 0

    def trim() -> None:
        nonlocal count
        count += 1
        done.set()

    trimmer = Trimmer(trim, delay_s=0.05)
    for _ in range(20):
        trimmer.ask()
    assert done.wait(30)
    trimmer.close()
    assert count == 1


def test_nothing_is_trimmed_after_the_end() -> None:
    trimmer = Trimmer(lambda: None, delay_s=3600)
    trimmer.ask()
    trimmer.close()
    trimmer.close()


def test_own_memory_is_told() -> None:
    before = own_bytes()
    block = bytearray(b"x" * (64 << 20))
    assert own_bytes() - before > 32 << 20
    del block


def test_that_of_another_process_is_told_while_it_lives() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        assert own_bytes(sleeper.pid) > 60 << 20
        sleeper.communicate()
    assert own_bytes(sleeper.pid) == 0
