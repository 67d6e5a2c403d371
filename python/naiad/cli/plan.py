"""``naiad plan``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from naiad.cli.console import show_error
from naiad.cli.launch import USAGE
from naiad.errors import NaiadError
from naiad.planning.found_sizes import sizes_of, unique
from naiad.planning.model_size import HEADROOM, ModelSize, stated_size
from naiad.planning.prices import read_prices, shipped_text
from naiad.planning.right_size import GB, Choice, Plan, make_plan
from naiad.staging.stage import StagedRepository
from naiad.staging.torch_script import describe_script
from naiad.staging.unservable import Unservable


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
    found = [size for path in paths for size in sizes_of(path, kv_tokens)]
    if measure and found:
        from naiad.planning.measure import measured

        with StagedRepository(describe_script) as staged:
            staged.add([path for path in paths if path.suffix != ".gguf"])
            roots = staged.repositories + ([staged.directory] if staged.directory else [])
            sizes = []
            for size in found:
                with screen.status(f"Loading {escape(size.name)}"):
                    sizes.append(measured(size, roots, staged.directory))
            found = sizes
    return found + [stated_size(text) for text in stated]


def show(console: Console, made: Plan) -> None:
    """Models, their sum, GPUs, what to take, what to beware of."""
    _print(console, _models_table(made))
    total = f"[bold]{made.total_bytes / GB:.1f} GB[/]"
    _print(console, f"\n{made.resident_bytes / GB:.1f} GB + {HEADROOM:.0%} headroom = {total}\n")
    _print(console, _gpu_table(made))
    currency = made.prices.currency
    best = made.best
    console.print()
    if best is not None:
        price = best.spot if made.best_is_spot else best.on_demand
        how = "spot" if made.best_is_spot else "on demand"
        what = f"{best.cards} x {best.gpu.name}"
        _print(console, f"Cheapest that suits: [bold green]{what}[/], {price:.2f} {currency}/hour {how}")
    elif not made.choices:
        _print(
            console, "[red]No GPU of the list holds these models[/]: quantise them, or serve fewer together"
        )
    else:
        _print(console, "No GPU that fits has a price in the list")
    spot = made.cheapest_spot
    if spot is not None and not made.best_is_spot:
        what = f"{spot.cards} x {spot.gpu.name}"
        _print(console, f"Cheapest on spot: {what}, {spot.spot:.2f} {currency}/hour")
    for model in made.models:
        if model.is_engine and model.known and best is not None:
            share = model.resident_bytes * (1 + HEADROOM) / (best.gpu.memory_gb * GB * best.cards)
            _print(
                console,
                f'model.json of {escape(model.name)}: "gpu_memory_utilization": {min(share, 0.95):.2f}, for '
                "vLLM takes 0.9 of the GPU unless told",
            )
    for warning in made.warnings:
        _print(console, f"[yellow]warning:[/] {escape(warning)}")
    _print(console, f"[dim]Prices of {made.prices.date}, not today's: {escape(made.prices.source)}[/]")


def _models_table(made: Plan) -> Table:
    table = _table("Model", "Weights GB", "Instances", "KV cache GB", "Resident GB", "From")
    for model in made.models:
        figures = (
            f"{model.weights_bytes / GB:.3f}",
            str(model.instances),
            f"{model.kv_bytes / GB:.3f}" if model.kv_bytes else "-",
            f"{model.resident_bytes / GB:.3f}",
        )
        shown = figures if model.known else ("?", "", "", "?")
        table.add_row(escape(model.name), *shown, escape(f"{model.basis}: {model.detail}"))
    return table


def _gpu_table(made: Plan) -> Table:
    currency = made.prices.currency
    table = _table("GPU", "GB", "Cards", "Used", f"{currency}/h on demand", f"{currency}/h spot")
    for choice in made.choices:
        table.add_row(*_cells(choice))
    for gpu in made.too_small:
        table.add_row(
            f"[dim]{escape(gpu.name)}[/]", f"[dim]{gpu.memory_gb:g}[/]", "[dim]does not fit[/]", "", "", ""
        )
    return table


def _cells(choice: Choice) -> tuple[str, ...]:
    prices = (choice.on_demand, choice.spot)
    return (
        escape(choice.gpu.name),
        f"{choice.gpu.memory_gb:g}",
        str(choice.cards),
        f"{choice.used_share:.0%}",
        *("-" if price is None else f"{price:.2f}" for price in prices),
    )


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, head in enumerate(heads):
        text = index == 0 or head == "From"
        table.add_column(head, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table


def _print(console: Console, what: str | Table) -> None:
    console.print(what, soft_wrap=isinstance(what, str), highlight=False)
