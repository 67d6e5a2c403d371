"""What ``naiad tune`` shows."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from naiad.cli.console import plain_table, print_line
from naiad.tuning.candidate import Candidate
from naiad.tuning.outcome import Limits, Outcome, Tuned, front


def shown(candidate: Candidate) -> str:
    """In words."""
    text = f"{candidate.instances} instance{'s' * (candidate.instances > 1)}"
    if candidate.max_batch_size > 0:
        text += f", batches of {candidate.max_batch_size}"
    if candidate.max_batch_size > 1:
        text += ", not joined" if candidate.delay_us is None else f", delay {candidate.delay_us} us"
    return text


def line_of(outcome: Outcome, limits: Limits) -> str:
    """What came of a candidate, with markup."""
    best = outcome.best(limits)
    if best is None:
        return f"{shown(outcome.candidate)}: [yellow]{escape(outcome.why_not(limits))}[/]"
    return f"{shown(outcome.candidate)}: {best.per_second:,.0f}/s, p99 {best.p99_ms:.2f} ms"


def show(console: Console, tuned: Tuned, output: Path | None) -> None:
    """The candidates that nothing beats, what there was, and the configuration to take."""
    outcomes, limits, now, best = tuned.outcomes, tuned.limits, tuned.now, tuned.best
    table = plain_table()
    for head in ("", "Instances", "Batch", "Delay us", "Infer/s", "p99 ms", "At", "Mean", "MB"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    ahead = front(outcomes, limits)
    rest = [outcome for outcome in outcomes if outcome.candidate == now and outcome not in ahead]
    for outcome in [*ahead, *rest]:
        load = outcome.best(limits)
        candidate = outcome.candidate
        marks = [word for word, is_so in (("best", outcome is best), ("now", candidate == now)) if is_so]
        delay = "-" if candidate.delay_us is None else str(candidate.delay_us)
        cells = [", ".join(marks), str(candidate.instances), str(candidate.max_batch_size or "-"), delay]
        if load is None:
            table.add_row(*cells, outcome.why_not(limits), style="dim")
            continue
        figures = (
            f"{load.per_second:,.0f}",
            f"{load.p99_ms:.2f}",
            str(load.concurrency),
        )
        memory = f"{outcome.memory_bytes / 1e6:,.0f}"
        table.add_row(
            *cells, *figures, f"{load.mean_batch:.1f}", memory, style="bold" if marks[:1] == ["best"] else ""
        )
    console.print(table)
    print_line(
        console,
        f"[dim]{len(outcomes)} candidates were tried; shown are those that none beats in throughput, p99 and "
        "memory. At: requests under way. Mean: of the batches[/]",
    )
    if best is None:
        print_line(console, "[red]nothing keeps the limits[/]")
        for outcome in outcomes:
            print_line(console, f"  {line_of(outcome, limits)}")
        return
    _show_gain(console, tuned, best)
    if output is not None:
        print_line(console, f"written to {escape(str(output))}")
        return
    print_line(console, f"\n[bold]config.pbtxt of {escape(tuned.model)}[/] (--output FILE writes it)\n")
    console.print(escape(tuned.text.rstrip()), highlight=False, soft_wrap=True)


def _show_gain(console: Console, tuned: Tuned, best: Outcome) -> None:
    limits, now = tuned.limits, tuned.now
    before = next((one.best(limits) for one in tuned.outcomes if one.candidate == now), None)
    after = best.best(limits)
    assert after is not None
    if best.candidate == now:
        print_line(console, "\n[bold]It runs best as it is.[/]")
    elif before is None:
        print_line(
            console, f"\n[bold]{escape(shown(best.candidate))}[/]; as it is, it does not keep the limits"
        )
    else:
        gain = after.per_second / before.per_second
        print_line(
            console, f"\n[bold]{escape(shown(best.candidate))}[/]: {gain:.2f} times what it serves now"
        )
