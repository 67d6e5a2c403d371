"""From settings and paths to a server that runs: what was named is staged, and shown while it loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from naiad.cli.console import LogAudience, TerminalAudience, show_error
from naiad.settings import ServerSettings
from naiad.staging.found import FoundModel
from naiad.staging.stage import Describe, StagedRepository
from naiad.staging.torch_script import describe_script
from naiad.staging.unservable import Unservable

USAGE = 2
"""The exit status when a command line can not be followed, as the shell's own commands have it."""


class ConsoleMode(StrEnum):
    """What a start shows."""

    auto = "auto"
    table = "table"
    log = "log"


def launch(settings: ServerSettings, paths: Sequence[Path], mode: ConsoleMode) -> int:
    """Serves until a signal ends it; gives the exit status."""
    screen = Console(stderr=True)
    for_people = mode is ConsoleMode.table or (
        mode is ConsoleMode.auto and screen.is_terminal and settings.log.file is None
    )
    repositories = (*settings.repository.model_repositories, *settings.repository.remote_repositories)
    if not paths and not repositories:
        show_error(
            screen,
            "nothing is named that should be served",
            "`naiad serve model.onnx`, `naiad serve FOLDER` or `naiad serve --model-repository=DIR`",
        )
        return USAGE
    with StagedRepository(_telling(screen if for_people else None)) as staged:
        try:
            staged.add(paths)
        except Unservable as error:
            show_error(screen, str(error), error.next_step)
            return USAGE
        settings = _with_models(settings, staged)
        if for_people and settings.log.verbose == 0:
            settings = replace(settings, log=replace(settings.log, info=False))
        audience: TerminalAudience | LogAudience = (
            TerminalAudience(screen, settings, staged.close)
            if for_people
            else LogAudience(settings, staged.close)
        )
        from naiad.server import serve as run_server

        return run_server(settings, audience)


def _telling(screen: Console | None) -> Describe:
    """``describe_script``, of which people see that it takes a while."""

    def describe(model: FoundModel) -> str:
        if screen is None:
            return describe_script(model)
        with screen.status(f"Running {escape(model.source.name)} to see what its tensors are"):
            return describe_script(model)

    return describe


def _with_models(settings: ServerSettings, staged: StagedRepository) -> ServerSettings:
    return replace(
        settings,
        repository=replace(
            settings.repository,
            model_repositories=(*settings.repository.model_repositories, *staged.roots),
            linked_repository=staged.directory,
        ),
    )
