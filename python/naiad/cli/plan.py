"""``naiad plan``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from naiad.cli.console import show_error
from naiad.cli.launch import USAGE
from naiad.errors import NaiadError
from naiad.staging.stage import StagedRepository
from naiad.staging.torch_script import describe_script
from naiad.staging.unservable import Unservable

if TYPE_CHECKING:
    from naiad.planning.model_size import ModelSize


class Workload(StrEnum):
    """Whether somebody waits for the answers."""

    realtime = "realtime"
    batch = "batch"


def plan(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Models as for naiad serve: files, folders, repositories; GGUF files too.",
            metavar="[PATH]...",
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            help="A model that is not here: NAME,size=600MB or NAME,params=70.6B,dtype=int4,layers=80,"
            "kv-heads=8,head-dim=128,kv-tokens=32768. Repeatable.",
            metavar="NAME,KEY=VALUE...",
        ),
    ] = None,
    kv_tokens: Annotated[
        int | None,
        typer.Option(
            "--kv-tokens",
            min=0,
            help="Tokens of all requests together that language models keep. [default: as model.json says, "
            "else 32768]",
        ),
    ] = None,
    workload: Annotated[
        Workload, typer.Option("--workload", help="batch: work that can be interrupted, for spot machines.")
    ] = Workload.realtime,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="TOML with GPUs and prices, as --print-prices shows.", metavar="FILE"),
    ] = None,
    print_prices: Annotated[
        bool, typer.Option("--print-prices", help="Show the file of prices, to be edited.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load each model, one after another, and see what it takes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how much GPU memory models take together, which GPUs hold them, and what these cost.

    All resident models and 15% headroom. Exit status: 0 when a GPU fits, 1 when none does or a size is not
    known.
    """
    from naiad.cli.plan_tables import show
    from naiad.planning.found_sizes import unique
    from naiad.planning.prices import read_prices, shipped_text
    from naiad.planning.right_size import make_plan

    if print_prices:
        typer.echo(shipped_text(), nl=False)
        return
    screen = Console(stderr=True)
    if not paths and not add:
        show_error(screen, "no model is named", "`naiad plan FOLDER`, or `naiad plan --add NAME,size=8GB`")
        raise typer.Exit(USAGE)
    try:
        known_prices = read_prices(prices)
        models = unique(_sizes(paths or (), add or (), kv_tokens, measure, screen))
    except Unservable as error:
        show_error(screen, str(error), error.next_step)
        raise typer.Exit(USAGE) from None
    except (NaiadError, OSError) as error:
        show_error(screen, str(error), "`naiad plan --help` shows what there is")
        raise typer.Exit(USAGE) from None
    made = make_plan(models, known_prices, workload.value)
    if as_json:
        typer.echo(json.dumps(made.to_json(), indent=2))
    else:
        show(Console(), made)
    raise typer.Exit(0 if made.choices and all(model.known for model in models) else 1)


def _sizes(
    paths: Sequence[Path], stated: Sequence[str], kv_tokens: int | None, measure: bool, screen: Console
) -> list[ModelSize]:
    from naiad.planning.found_sizes import sizes_of
    from naiad.planning.model_size import stated_size

    found = [size for path in paths for size in sizes_of(path, kv_tokens)]
    if measure and found:
        from naiad.planning.measure import measured

        with StagedRepository(describe_script) as staged:
            staged.add([path for path in paths if path.suffix != ".gguf"])
            sizes = []
            for size in found:
                with screen.status(f"Loading {escape(size.name)}"):
                    sizes.append(measured(size, staged.roots, staged.directory))
            found = sizes
    return found + [stated_size(text) for text in stated]
