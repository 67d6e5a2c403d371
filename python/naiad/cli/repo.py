"""``naiad repo``: look at model repositories, and make them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from naiad.cli.console import print_line, show_error
from naiad.cli.launch import USAGE
from naiad.errors import NaiadError

repo_app = typer.Typer(help="Model repositories: check them, make them.", no_args_is_help=True)


@repo_app.command("check")
def check(
    directories: Annotated[list[Path], typer.Argument(help="Model repositories.", metavar="DIR...")],
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=0, help="GPUs of the machine that is to serve. [default: of this one]"),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Read the models' files too, for what configurations leave out. Runs auto_complete_config.",
        ),
    ] = False,
    backend_directory: Annotated[
        str, typer.Option("--backend-directory", help="Where backends lie, as of naiad serve.", metavar="DIR")
    ] = "/opt/tritonserver/backends",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Validate model repositories without loading them.

    Each problem is a line FILE:LINE:FIELD: MESSAGE. Exit status: 0 without errors, 1 with some.
    """
    from naiad.backends.registry import DIRECTORY_OPTION, BackendRegistry
    from naiad.checking.check import check_repositories
    from naiad.engine import gpu_count

    screen = Console(stderr=True)
    for directory in directories:
        if not directory.is_dir():
            show_error(screen, f"there is no folder '{directory}'", "name the folder that holds the models")
            raise typer.Exit(USAGE)
    backends = BackendRegistry({"": {DIRECTORY_OPTION: backend_directory}})
    checked = check_repositories(
        directories, backends, num_gpus=gpu_count() if gpus is None else gpus, complete=complete
    )
    if as_json:
        problems = [problem.to_json() for problem in checked.problems]
        typer.echo(
            json.dumps({"models": checked.models, "errors": checked.errors, "problems": problems}, indent=2)
        )
        raise typer.Exit(1 if checked.errors else 0)
    for problem in checked.problems:
        typer.echo(str(problem))
    if not checked.models:
        where = ", ".join(map(str, directories))
        show_error(
            screen, f"there is no model in '{where}'", "`naiad repo init --from FILE --to DIR` makes one"
        )
        raise typer.Exit(1)
    warnings = len(checked.problems) - checked.errors
    screen.print(f"{_count(len(checked.models), 'model')}, {_count(checked.errors, 'error')}, "
                 f"{_count(warnings, 'warning')}", highlight=False)  # fmt: skip
    raise typer.Exit(1 if checked.errors else 0)


@repo_app.command("init")
def init(
    source: Annotated[
        Path,
        typer.Option(
            "--from",
            help="model.onnx, model.pt, model.pt2, model.xml, model.py, or a folder of Hugging Face's form.",
            metavar="PATH",
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", help="The model repository; made if it is not there.", metavar="DIR")
    ] = Path("models"),
    name: Annotated[str, typer.Option("--name", help="The model's. [default: by its file]")] = "",
    link: Annotated[bool, typer.Option("--link", help="Hard links in place of copies.")] = False,
) -> None:
    """Write a model's folder with a commented config.pbtxt: inputs and outputs as the model has them."""
    from naiad.backends.registry import BackendRegistry
    from naiad.repository.scan import check_model_name
    from naiad.staging.init import find_one, init_model
    from naiad.staging.unservable import Unservable

    screen = Console(stderr=True)
    try:
        if name:
            check_model_name(name)
        model = find_one(source)
        model = replace(model, name=name) if name else model
        made = init_model(model, to, BackendRegistry(), link=link)
    except Unservable as error:
        show_error(screen, str(error), error.next_step)
        raise typer.Exit(USAGE) from None
    except (NaiadError, OSError) as error:
        show_error(screen, str(error), "")
        raise typer.Exit(USAGE) from None
    typer.echo(made.directory / "config.pbtxt")
    if made.unknown:
        show_error(
            screen,
            f"the file does not say what its tensors are: {made.unknown}",
            f"write input and output into {made.directory / 'config.pbtxt'}, then `naiad serve {to}`",
        )
        raise typer.Exit(1)
    print_line(screen, f"`naiad serve {to}` serves it as '{made.name}'")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
