"""Throughput against latency, as a picture. Needs matplotlib (the extra ``bench``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naiad.errors import InvalidArgument, Unsupported

_KINDS = (".svg", ".png", ".pdf")
_COLOURS = ("#1f6f8b", "#c8553d", "#5b8e3e", "#7a5195")


def check_picture(path: Path) -> None:
    """Before anything is measured. Raises InvalidArgument for a name without a known ending, Unsupported
    where nothing can draw.
    """
    if path.suffix not in _KINDS:
        raise InvalidArgument(f"--picture '{path}' should end in {', '.join(_KINDS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Unsupported("--picture draws with matplotlib, which is not installed") from None


def draw(path: Path, title: str, lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """``lines``: name -> rows of ``row_of``, in the order of the load. Raises OSError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    place = figure.subplots()
    for colour, (name, rows) in zip(_COLOURS, lines.items(), strict=False):
        rates = [row["inferences_per_second"] for row in rows]
        for percent, style in ((50, "--"), (99, "-")):
            times = [row[f"latency_p{percent}_us"] / 1e3 for row in rows]
            label = f"{name} p{percent}"
            place.plot(rates, times, style, color=colour, marker="o", markersize=4, label=label)
        for row, rate in zip(rows, rates, strict=True):
            load = row["concurrency"] if row["request_rate"] is None else f"{row['request_rate']:g}/s"
            at = (rate, row["latency_p99_us"] / 1e3)
            place.annotate(str(load), at, xytext=(4, 4), textcoords="offset points", fontsize=8, color=colour)
    place.set_xlabel("inferences/s (to the right is better)")
    place.set_ylabel("latency in ms (down is better)")
    place.set_yscale("log")
    place.set_xlim(left=0)
    place.grid(visible=True, which="both", alpha=0.25)
    place.legend(frameon=False, fontsize=8)
    place.set_title(title, fontsize=10)
    figure.savefig(path, dpi=150)
