"""How a server's start looks: to people on a terminal, and to those who read its log."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from naiad.audience import Index, Silent
from naiad.cli.advice import next_step
from naiad.logs import log
from naiad.repository.index import LOADS_ON_DEMAND
from naiad.repository.served import IndexEntry, LoadedVersion
from naiad.settings import ServerSettings

_LOOK_S = 0.1
_STATES = {"READY": "green", "UNAVAILABLE": "red", "LOADING": "yellow", "UNLOADING": "yellow"}
_NOT_ASKED_FOR = "not loaded"


def print_line(console: Console, line: str) -> None:
    """Markup acts; nothing else is coloured, and a long line is not wrapped: parts of it are to be copied."""
    console.print(line, soft_wrap=True, highlight=False)


def plain_table() -> Table:
    """Without lines, as every command shows one."""
    return Table(box=None, pad_edge=False, header_style="bold")


def show_error(console: Console, sentence: str, step: str) -> None:
    """An error as every command shows it: what is wrong, and what to do."""
    print_line(console, f"[bold red]error:[/] {escape(sentence)}")
    if step:
        print_line(console, f" [bold cyan]next:[/] {escape(step)}")


class LogAudience(Silent):
    """For logs: the lines stay as they are; what is new is the next step after an error."""

    def __init__(self, settings: ServerSettings, ending: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._ending = ending

    def serving(
        self, index: Sequence[IndexEntry], served: Sequence[LoadedVersion], urls: Mapping[str, str]
    ) -> None:
        if not index:
            log.warning("the model repository is empty; `naiad repo init --from FILE --to DIR` fills it")

    def failed(self, error: Exception) -> None:
        if step := next_step(error, self._settings):
            log.error("next: %s", step)

    def ending(self) -> None:
        self._ending()


class TerminalAudience:
    """For people: progress while models load, then a table of what is served and where."""

    def __init__(
        self, console: Console, settings: ServerSettings, ending: Callable[[], None] = lambda: None
    ) -> None:
        self._console = console
        self._settings = settings
        self._ending = ending
        self._seen: list[IndexEntry] = []

    @contextmanager
    def loading(self, index: Index) -> Iterator[None]:
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        done = threading.Event()
        for handler in log.handlers:
            handler.addFilter(_not_shown_here)
        with progress, _lines_above(self._console):
            task = progress.add_task("Loading models", total=None)

            def look() -> None:
                self._seen = index()
                total, loading, ended = self._count(self._seen)
                text = f"Loading {', '.join(loading[:3])}{' ...' if len(loading) > 3 else ''}"
                text = escape(text if loading else "Loading models")
                progress.update(task, description=text, total=total, completed=ended)

            def keep_looking() -> None:
                while not done.wait(_LOOK_S):
                    look()
                look()

            watching = threading.Thread(target=keep_looking, name="naiad-progress", daemon=True)
            watching.start()
            try:
                yield
            finally:
                done.set()
                watching.join()

    def serving(
        self, index: Sequence[IndexEntry], served: Sequence[LoadedVersion], urls: Mapping[str, str]
    ) -> None:
        for handler in log.handlers:
            handler.removeFilter(_not_shown_here)
        self._console.print(models_table(index, served))
        for row in index:
            if row.state == "UNAVAILABLE" and row.reason not in ("", LOADS_ON_DEMAND):
                show_error(self._console, f"model '{row.name}' can not be served: {row.reason}", "")
        for name, url in urls.items():
            print_line(self._console, f"[bold]{name:>9}[/]  {escape(url)}")
        first = next((loaded for loaded in served), None)
        if first is not None and "HTTP" in urls:
            print_line(
                self._console, f"[bold]      try[/]  curl {escape(urls['HTTP'])}/v2/models/{first.name}"
            )
        if not index:
            self._console.print(
                "[yellow]The model repository is empty:[/] `naiad repo init --from FILE --to DIR` fills it"
            )
        self._console.print("[dim]Ctrl-C ends the server[/]")

    def failed(self, error: Exception) -> None:
        rows = [row for row in self._seen if row.state == "UNAVAILABLE" and row.reason != LOADS_ON_DEMAND]
        step = next_step(error, self._settings)
        if not rows:
            show_error(self._console, str(error), step)
            return
        for row in rows:
            show_error(self._console, f"model '{row.name}' can not be served: {row.reason}", "")
        show_error(self._console, f"{len(rows)} of {self._count(self._seen)[0]} models did not load", step)

    def ending(self) -> None:
        self._ending()

    def _count(self, rows: Sequence[IndexEntry]) -> tuple[int, list[str], int]:
        """How many models are to be loaded, the names of those that are being, and how many have ended."""
        states: dict[str, set[str]] = {}
        for row in (row for row in rows if row.reason != LOADS_ON_DEMAND):
            states.setdefault(row.name, set()).add(row.state)
        if self._settings.repository.control_mode in ("explicit", "ondemand"):
            states = {name: those for name, those in states.items() if those != {""}}
        loading = [name for name, those in states.items() if "LOADING" in those]
        ended = [name for name, those in states.items() if "LOADING" not in those and those != {""}]
        return len(states), loading, len(ended)


def models_table(index: Sequence[IndexEntry], served: Sequence[LoadedVersion]) -> Table:
    """What is served, and what is not."""
    loaded = {(one.name, str(one.version)): one for one in served}
    table = plain_table()
    for head in ("Model", "Version", "State", "Backend", "Instances", "Load"):
        table.add_column(head, overflow="fold", justify="right" if head in ("Instances", "Load") else "left")
    for row in index:
        one = loaded.get((row.name, row.version))
        state = row.state or _NOT_ASKED_FOR
        color = _STATES.get(row.state, "dim")
        cells = ("", "", "")
        if one is not None:
            instances = "-" if one.config.is_ensemble else str(one.config.num_instances)
            backend = "ensemble" if one.config.is_ensemble else one.config.backend
            cells = (backend, instances, f"{one.load_duration_s:.1f} s")
        table.add_row(escape(row.name), row.version or "-", f"[{color}]{state}[/]", *map(escape, cells))
    return table


def _not_shown_here(record: logging.LogRecord) -> bool:
    """Keeps out of the log what is shown at the end of a start."""
    return not record.msg.startswith(("failed to load '", "creating server: "))


@contextmanager
def _lines_above(console: Console) -> Iterator[None]:
    """Lines of the log go above the progress, and not into it."""
    moved: list[tuple[logging.StreamHandler[Any], Any]] = []
    for handler in log.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
            moved.append((handler, handler.setStream(FileProxy(console, sys.__stderr__))))
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)
