"""The commands."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.doctor import doctor
from naiad.cli.plan import plan
from naiad.cli.repo import repo_app
from naiad.cli.serve import serve
from naiad.cli.sources import KnownFlags
from naiad.cli.triton_flags import BOOLEANS, DEPRECATED, REPLACED, UNSUPPORTED, UNSUPPORTED_BOOLEANS

app = typer.Typer(
    name="naiad",
    help="A multi-framework, multi-model inference server that speaks Triton's protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
fleet_app = typer.Typer(help="The example fleet: real models to try the server with.", no_args_is_help=True)
app.add_typer(repo_app, name="repo")
app.add_typer(fleet_app, name="fleet")
app.command("serve")(serve)
app.command("doctor")(doctor)
app.command("plan")(plan)


@fleet_app.command("build")
def fleet_build(
    directory: Annotated[Path, typer.Argument(help="The model repository to make.", metavar="DIR")],
) -> None:
    """Fetch and export the example models into a model repository."""
    from naiad.fleet.build import build_fleet

    build_fleet(directory, progress=typer.echo)


@app.command("cmake-dir")
def cmake_dir() -> None:
    """Show where CMake finds what backends in libraries of their own are built with."""
    typer.echo(Path(__file__).resolve().parent.parent / "cmake")


@app.command("version")
def version() -> None:
    """Show what is installed and how the core was built."""
    from naiad.engine import build_facts

    typer.echo(f"naiad {metadata.version('naiad')}")
    for name, fact in sorted(build_facts().items()):
        typer.echo(f"  {name}: {fact}")


def serve_flags() -> KnownFlags:
    """All flags of ``naiad serve``, those of Triton that are refused too."""
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    aliases = {name: name for name in (*UNSUPPORTED, *DEPRECATED, *REPLACED)}
    repeatable = set()
    for option in command.params:
        if option.opts[0].startswith("--"):
            aliases.update(dict.fromkeys(option.opts, option.opts[0]))
            if option.multiple:
                repeatable.add(option.opts[0])
    aliases.pop("--help", None)
    return KnownFlags(aliases, frozenset(repeatable), valueless=BOOLEANS | UNSUPPORTED_BOOLEANS)
