"""``naiad tune``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from naiad.cli.console import print_line, show_error
from naiad.cli.launch import USAGE
from naiad.errors import InvalidArgument, NaiadError
from naiad.staging.unservable import Unservable

if TYPE_CHECKING:
    from naiad.loadgen.measure import Effort
    from naiad.staging.found import FoundModel
    from naiad.tuning.candidate import Candidate, Space
    from naiad.tuning.ladder import Ladder
    from naiad.tuning.outcome import Limits, Outcome, Tuned
    from naiad.tuning.trials import Subject

_OFF = "off"


class Search(StrEnum):
    """Which candidates are tried."""

    quick = "quick"
    brute = "brute"


def tune(
    path: Annotated[
        Path,
        typer.Argument(help="A repository, a model's folder or file, as for naiad serve.", metavar="PATH"),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its name. [default: the only one there]", metavar="NAME")
    ] = "",
    others: Annotated[
        list[str] | None,
        typer.Option("--with", help="A model that it calls, loaded as it is. Repeatable.", metavar="NAME"),
    ] = None,
    instances: Annotated[
        str, typer.Option("--instances", help="Counts to try: 1,2,4 or FIRST:LAST.", metavar="N[,N...]")
    ] = "1:4",
    batch_sizes: Annotated[
        str,
        typer.Option(
            "--batch-sizes",
            help="Largest batches to try. [default: powers of two up to the configuration's]",
            metavar="N[,N...]",
        ),
    ] = "",
    delays: Annotated[
        str,
        typer.Option(
            "--delays",
            help="Microseconds that a request may wait for others; off: no batching.",
            metavar="US[,US...]",
        ),
    ] = "0,100,500,2000",
    latency_budget_ms: Annotated[
        float, typer.Option("--latency-budget", min=0, help="p99 in ms that counts; 0: any.")
    ] = 0,
    memory_budget: Annotated[
        str,
        typer.Option("--memory-budget", help="That the model may take, as 8GB.", metavar="SIZE"),
    ] = "",
    concurrency: Annotated[
        str,
        typer.Option(
            "--concurrency-range", help="Requests under way, doubled from the first.", metavar="N:N"
        ),
    ] = "1:64",
    search: Annotated[
        Search,
        typer.Option(
            "--search", help="brute: all; quick: one thing is changed at a time, while that serves more."
        ),
    ] = Search.quick,
    batch: Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Rows of a request.")] = 1,
    shape: Annotated[
        list[str] | None, typer.Option("--shape", help="NAME:3,224,224, as for naiad bench. Repeatable.")
    ] = None,
    input_data: Annotated[
        str, typer.Option("--input-data", help="random, zero, or a JSON file, as for naiad bench.")
    ] = "random",
    window_ms: Annotated[
        int, typer.Option("--measurement-interval", min=100, help="Milliseconds of a window.")
    ] = 1000,
    max_windows: Annotated[int, typer.Option("--max-trials", min=3, help="Windows of a level.")] = 6,
    load_timeout_s: Annotated[
        float, typer.Option("--load-timeout-secs", min=1, help="That a model may take to load.")
    ] = 600,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the best configuration there.", metavar="FILE"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also where a file is already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Find the instances, batches and delay that serve the most of a model within a latency and memory.

    Each candidate runs on a server of its own, under more and more load. Exit status: 0 found, 1 nothing
    keeps the limits.
    """
    from naiad.cli import tune_tables
    from naiad.loadgen.measure import Effort
    from naiad.tuning.ladder import Ladder
    from naiad.tuning.trials import Subject

    screen = Console(stderr=True)
    try:
        if output is not None and output.exists() and not overwrite:
            raise InvalidArgument(f"--output '{output}' is there already: --overwrite replaces it")
        values = (
            read_counts("--instances", instances),
            read_counts("--batch-sizes", batch_sizes) if batch_sizes else (),
            read_delays(delays),
        )
        subject = Subject(
            (path,), model, tuple(others or ()), batch, tuple(shape or ()), input_data, load_timeout_s
        )
        effort = Effort(window_s=window_ms / 1000, max_windows=max_windows)
        limits = _limits(latency_budget_ms, memory_budget)
        tuned = _tune(screen, subject, values, limits, Ladder(*_ends(concurrency)), effort, search)
        if tuned.best is not None and output is not None:
            _write(output, tuned.text)
    except Unservable as error:
        show_error(screen, str(error), error.next_step)
        raise typer.Exit(USAGE) from None
    except InvalidArgument as error:
        show_error(screen, str(error), "`naiad tune --help` shows what there is")
        raise typer.Exit(USAGE) from None
    except NaiadError as error:
        show_error(screen, str(error), f"try it alone: naiad serve {path}")
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(tuned.to_json(), indent=2))
    else:
        tune_tables.show(Console(), tuned, output)
    raise typer.Exit(0 if tuned.best is not None else 1)


def _tune(
    screen: Console,
    subject: Subject,
    values: tuple[tuple[int, ...], tuple[int, ...], tuple[int | None, ...]],
    limits: Limits,
    ladder: Ladder,
    effort: Effort,
    search: Search,
) -> Tuned:
    """``values``: instances, batch sizes and delays to try."""
    from naiad.cli.tune_tables import line_of, shown
    from naiad.config import to_pbtxt
    from naiad.staging.found import find_models
    from naiad.tuning.candidate import apply, current, space_of
    from naiad.tuning.outcome import Tuned, chosen
    from naiad.tuning.trials import Trials, base_of, completed_config

    found = _named(find_models(subject.paths[0]).models, subject.model)
    subject = replace(subject, model=found.name)
    with screen.status(f"Loading {escape(found.name)} as it is"):
        config = completed_config(subject)
    base = base_of(found)
    base = config.copy_proto() if base is None else base
    space = space_of(config, *values)
    now = current(config)
    with screen.status("") as status:

        def tell(candidate: Candidate, what: str) -> None:
            status.update(f"{shown(candidate)}: {what}")

        trials = Trials(subject, base, config, ladder, limits, effort, tell)

        def attempt(candidate: Candidate) -> Outcome:
            outcome = trials.attempt(candidate)
            print_line(screen, line_of(outcome, limits))
            return outcome

        outcomes = _searched(space, now, limits, search, attempt)
    best = chosen(outcomes, limits)
    text = "" if best is None else to_pbtxt(apply(best.candidate, base, config))
    return Tuned(found.name, tuple(outcomes), limits, now, best, text)


def _searched(
    space: Space,
    now: Candidate,
    limits: Limits,
    search: Search,
    attempt: Callable[[Candidate], Outcome],
) -> list[Outcome]:
    """With what there is now, whether it is in the space or not: the others are measured against it."""
    from naiad.tuning.search import brute, quick

    if search is Search.quick:
        return quick(space, now, limits, attempt)
    first = [] if now in space.all() else [attempt(now)]
    return first + brute(space, attempt)


def _named(models: tuple[FoundModel, ...], name: str) -> FoundModel:
    names = ", ".join(sorted(model.name for model in models))
    if not name:
        if len(models) > 1:
            raise InvalidArgument(f"there are several models: name one with --model: {names}")
        return models[0]
    for model in models:
        if model.name == name:
            return model
    raise InvalidArgument(f"--model '{name}' is not there; there are {names}")


def _write(path: Path, text: str) -> None:
    """Whole, or not at all."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise InvalidArgument(f"--output '{path}' can not be written: {error.strerror}") from None


def _limits(latency_ms: float, memory: str) -> Limits:
    from naiad.planning.model_size import bytes_of
    from naiad.tuning.outcome import Limits

    return Limits(latency_ms, bytes_of(memory) if memory else 0)


def read_counts(flag: str, text: str) -> tuple[int, ...]:
    """``1,2,4`` or ``1:4``. Raises InvalidArgument."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})(?::(\d{1,6}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if first < 1 or last < first or last - first > 256:
            raise InvalidArgument(f"{flag} '{text}' should be numbers from 1 on: 1,2,4 or 1:4")
        numbers += range(first, last + 1)
    return tuple(sorted(set(numbers)))


def read_delays(text: str) -> tuple[int | None, ...]:
    """Microseconds, and ``off`` (None), in order. Raises InvalidArgument."""
    delays: set[int | None] = set()
    for part in map(str.strip, text.split(",")):
        if not re.fullmatch(rf"\d{{1,9}}|{_OFF}", part):
            raise InvalidArgument(f"--delays '{text}' should be microseconds, or off: off,0,100,500")
        delays.add(None if part == _OFF else int(part))
    return tuple(sorted(delays, key=lambda one: -1 if one is None else one))


def _ends(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6}):(\d{1,6})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InvalidArgument(f"--concurrency-range '{text}' should be FIRST:LAST, as 1:64")
    return int(found[1]), int(found[2])
