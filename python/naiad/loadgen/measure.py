"""One level of load: processes of the generator, windows until they are alike."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from naiad.errors import Unavailable
from naiad.loadgen.scenario import Scenario
from naiad.loadgen.target import ServerTime, Target
from naiad.loadgen.windows import Window, is_stable, one_after_another, together

_ALIKE = 3
"""Windows one after another that have to be."""
_START_S = 0.7
"""What processes need to begin; then comes the warm-up."""
_STOP_S = 5.0


@dataclass(frozen=True)
class Effort:
    """How long, and how exact."""

    window_s: float = 2.0
    warmup_s: float = 0.5
    stability: float = 0.10
    """By how much of their average windows may differ."""
    max_windows: int = 10
    processes: int = 1


@dataclass(frozen=True)
class Level:
    """What was measured at one level."""

    concurrency: int
    rate: float
    """0: a closed loop."""
    window: Window
    """Of the last windows together."""
    server: ServerTime
    """Of the time from the first of all windows to the last."""
    stable: bool
    windows: int


Tell = Callable[[Window], None]


def measure(scenario: Scenario, target: Target, effort: Effort, tell: Tell = lambda window: None) -> Level:
    """Blocks until it is stable, or as many windows have passed as may. Raises Unavailable."""
    children = _start(scenario, effort)
    windows: list[Window] = []
    stable = False
    before = target.time()
    try:
        rows = _Rows(children)
        while len(windows) < effort.max_windows and not stable:
            windows.append(together(rows.next(effort.window_s + scenario.timeout_s)))
            tell(windows[-1])
            stable = len(windows) >= _ALIKE and is_stable(windows[-_ALIKE:], effort.stability)
        after = target.time()
    finally:
        _stop(children)
    return Level(
        scenario.concurrency,
        scenario.rate,
        one_after_another(windows[-_ALIKE:]),
        after.since(before),
        stable,
        len(windows),
    )


def _start(scenario: Scenario, effort: Effort) -> list[subprocess.Popen[str]]:
    count = min(effort.processes, scenario.concurrency)
    start_at_s = time.monotonic() + _START_S + effort.warmup_s
    children = []
    for index in range(count):
        share = scenario.concurrency // count + (index < scenario.concurrency % count)
        part = replace(
            scenario,
            concurrency=share,
            rate=scenario.rate / count,
            seed=scenario.seed + index,
            first_sequence=scenario.first_sequence + index,
            sequence_step=count,
            start_at_s=start_at_s,
            window_s=effort.window_s,
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "naiad.loadgen.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C ends this process, which ends them
        )
        assert child.stdin is not None
        child.stdin.write(part.to_json() + "\n")
        child.stdin.flush()
        children.append(child)
    return children


class _Rows:
    """The windows that all processes tell, in their order."""

    def __init__(self, children: Sequence[subprocess.Popen[str]]) -> None:
        self._lines: list[queue.Queue[str]] = []
        for child in children:
            lines: queue.Queue[str] = queue.Queue()
            self._lines.append(lines)
            threading.Thread(target=self._follow, args=(child, lines), daemon=True).start()

    def next(self, timeout_s: float) -> list[Window]:
        """One of each. Raises Unavailable for a process that ended, or says nothing."""
        return [self._read(lines, timeout_s) for lines in self._lines]

    @staticmethod
    def _follow(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put("")
        child.stdout.close()

    @staticmethod
    def _read(lines: queue.Queue[str], timeout_s: float) -> Window:
        try:
            line = lines.get(timeout=timeout_s)
        except queue.Empty:
            line = ""
        if not line:
            raise Unavailable("a process of the load generator ended, or said nothing")
        if line.startswith('{"error"'):
            raise Unavailable(f"the server is not reached: {json.loads(line)['error']}")
        return Window.from_json(line)


def _stop(children: Sequence[subprocess.Popen[str]]) -> None:
    for child in children:
        if child.stdin is not None:
            child.stdin.close()
    for child in children:
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
