"""What ``naiad plan`` shows."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from naiad.cli.console import plain_table, print_line
from naiad.planning.right_size import GB, Choice, Plan
from naiad.repository.memory_budget import HEADROOM


def show(console: Console, made: Plan) -> None:
    """Models, their sum, GPUs, what to take, what to beware of."""
    console.print(_models_table(made), highlight=False)
    total = f"[bold]{made.total_bytes / GB:.1f} GB[/]"
    print_line(console, f"\n{made.resident_bytes / GB:.1f} GB + {HEADROOM:.0%} headroom = {total}\n")
    console.print(_gpu_table(made), highlight=False)
    currency = made.prices.currency
    best = made.best
    console.print()
    if best is not None:
        price = best.spot if made.best_is_spot else best.on_demand
        how = "spot" if made.best_is_spot else "on demand"
        what = f"{best.cards} x {best.gpu.name}"
        print_line(console, f"Cheapest that suits: [bold green]{what}[/], {price:.2f} {currency}/hour {how}")
    elif not made.choices:
        print_line(
            console, "[red]No GPU of the list holds these models[/]: quantise them, or serve fewer together"
        )
    else:
        print_line(console, "No GPU that fits has a price in the list")
    spot = made.cheapest_spot
    if spot is not None and not made.best_is_spot:
        what = f"{spot.cards} x {spot.gpu.name}"
        print_line(console, f"Cheapest on spot: {what}, {spot.spot:.2f} {currency}/hour")
    for model in made.models:
        if model.is_engine and model.known and best is not None:
            share = model.resident_bytes * (1 + HEADROOM) / (best.gpu.memory_gb * GB * best.cards)
            print_line(
                console,
                f'model.json of {escape(model.name)}: "gpu_memory_utilization": {min(share, 0.95):.2f}, for '
                "vLLM takes 0.9 of the GPU unless told",
            )
    for warning in made.warnings:
        print_line(console, f"[yellow]warning:[/] {escape(warning)}")
    print_line(console, f"[dim]Prices of {made.prices.date}, not today's: {escape(made.prices.source)}[/]")


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
    table = plain_table()
    for index, head in enumerate(heads):
        text = index == 0 or head == "From"
        table.add_column(head, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table
