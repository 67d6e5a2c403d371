"""The command line: ``naiad serve`` and what goes with it. ``app`` is the file to read first."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer
from rich.console import Console

from naiad.cli.app import command_line, serve_flags
from naiad.cli.console import show_error
from naiad.cli.sources import Gathered, gather
from naiad.cli.triton_flags import FlagRefused, prepare

_UsageError: Any = typer.BadParameter.__mro__[1]
"""click's, wherever typer keeps it."""


def main() -> None:
    """The entry point of the ``naiad`` command."""
    arguments = sys.argv[1:]
    gathered = Gathered(arguments)
    commands = command_line()
    try:
        if arguments[:1] == ["serve"] and "--help" not in arguments:
            gathered = gather(arguments[1:], os.environ, serve_flags(commands))
            gathered.arguments.insert(0, "serve")
        arguments = prepare(gathered.arguments)
    except FlagRefused as refused:
        _refuse(str(refused), "naiad serve")
    try:
        status = commands(args=arguments, prog_name="naiad", standalone_mode=False)
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        origin = gathered.origins.get(_flag_of(error), "")
        reason = error.format_message()
        if not reason.strip():
            raise SystemExit(2) from None  # no arguments: the help has been shown
        _refuse(
            reason + (f" (from {origin})" if origin else ""),
            "naiad" if context is None else context.command_path,
        )
    except typer.Abort:
        raise SystemExit(130) from None
    raise SystemExit(status if isinstance(status, int) else 0)


def _refuse(reason: str, command: str) -> NoReturn:
    show_error(Console(stderr=True), reason, f"`{command} --help` shows what there is")
    raise SystemExit(2)


def _flag_of(error: Any) -> str:
    """The first spelling of the flag that is to blame; "" where it is not known."""
    hint = getattr(error, "param_hint", None)
    if isinstance(hint, str):
        return hint.strip("'")
    param = getattr(error, "param", None)
    return str(param.opts[0]) if param is not None and param.opts else ""
