"""The commands. The file to read first."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from naiad.cli.bench import bench
from naiad.cli.doctor import doctor
from naiad.cli.plan import plan
from naiad.cli.ray import ray_app
from naiad.cli.repo import repo_app
from naiad.cli.serve import serve
from naiad.cli.sources import KnownFlags
from naiad.cli.triton_flags import BOOLEANS, DEPRECATED, REPLACED, UNSUPPORTED, UNSUPPORTED_BOOLEANS
from naiad.cli.tune import tune

_SERVING = "Serving"
_PREPARING = "Preparing"
_BUILDING = "Examples and extensions"

app = typer.Typer(
    name="naiad",
    help="A multi-framework, multi-model inference server that speaks Triton's protocols.\n\n"
    "Try it: naiad serve model.onnx",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
fleet_app = typer.Typer(help="The example fleet: real models to try the server with.", no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"naiad {metadata.version('naiad')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version  # its callback acts


app.command("serve", rich_help_panel=_SERVING)(serve)
app.command("bench", rich_help_panel=_SERVING)(bench)
app.command("tune", rich_help_panel=_SERVING)(tune)
app.command("doctor", rich_help_panel=_PREPARING)(doctor)
app.command("plan", rich_help_panel=_PREPARING)(plan)
app.add_typer(ray_app, name="ray", rich_help_panel=_SERVING)
app.add_typer(repo_app, name="repo", rich_help_panel=_PREPARING)
app.add_typer(fleet_app, name="fleet", rich_help_panel=_BUILDING)


@fleet_app.command("build")
def fleet_build(
    directory: Annotated[Path, typer.Argument(help="The model repository to make.", metavar="DIR")],
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="With vad, embedding, retrieval, reranker; and rag, rag_bls where there is a model smollm2.",
        ),
    ] = False,
    llm: Annotated[
        Path | None,
        typer.Option(
            "--llm",
            help="What smollm2 is made of: a model folder, or build/llm as made by make test-llm.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Fetch and export the example models into a model repository."""
    from naiad.fleet.build import build_fleet

    build_fleet(directory, full=full, llm=llm, progress=typer.echo)


@app.command("cmake-dir", rich_help_panel=_BUILDING)
def cmake_dir() -> None:
    """Show where CMake finds what backends in libraries of their own are built with."""
    typer.echo(Path(__file__).resolve().parent.parent / "cmake")


@app.command("version", rich_help_panel=_PREPARING)
def version() -> None:
    """Show what is installed and how the core was built."""
    from naiad.engine import build_facts

    typer.echo(f"naiad {metadata.version('naiad')}")
    for name, fact in sorted(build_facts().items()):
        typer.echo(f"  {name}: {fact}")


def command_line() -> Any:
    """All commands, as click has them. Takes 25 ms."""
    return typer.main.get_command(app)


def serve_flags(commands: Any) -> KnownFlags:
    """All flags of ``naiad serve``, those of Triton that are refused too. ``commands``: of command_line."""
    command = commands.commands["serve"]
    aliases = {name: name for name in (*UNSUPPORTED, *DEPRECATED, *REPLACED)}
    repeatable = set()
    for option in command.params:
        if option.opts[0].startswith("--"):
            aliases.update(dict.fromkeys(option.opts, option.opts[0]))
            if option.multiple:
                repeatable.add(option.opts[0])
    aliases.pop("--help", None)
    return KnownFlags(aliases, frozenset(repeatable), valueless=BOOLEANS | UNSUPPORTED_BOOLEANS)
