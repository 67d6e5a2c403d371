"""Draws a run of run.py, throughput against p99 with one panel per protocol and tensor size; or one of
openloop.py, throughput and p99 against the load that was offered.

python bench/e2e/picture.py bench/results/NAME.json writes NAME.svg beside it. Needs matplotlib (the
`bench` extra).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

_COLOURS = {"naiad": "#1f6f8b", "Triton": "#c8553d"}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_CLIENT = "h2load"
_EDGE = "edge_live"


def points(rows: list[dict[str, Any]], server: str, model: str) -> list[tuple[float, float, int]]:
    """(infer/s, p99 in ms, calls in flight) of one model on one server: medians over rounds."""
    found = []
    for row in rows:
        samples = row["rounds"].get(server)
        if row["model"] != model or not samples:
            continue
        rate = statistics.median(sample["requests_per_s"] for sample in samples)
        p99 = statistics.median(sample["p99_ms"] for sample in samples)
        found.append((rate, p99, int(row["concurrency"])))
    return sorted(found, key=lambda point: point[2])


def draw(run: dict[str, Any]) -> Any:
    """The figure of a run, as JSON of run.py holds it."""
    rows = [row for row in run["rows"] if row["client"] == _CLIENT and row["model"] != _EDGE]
    panels = sorted({(row["num_floats"], row["protocol"]) for row in rows})
    models = list(dict.fromkeys(row["model"] for row in rows))
    columns = 2 if len(panels) > 1 else 1
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(6.2 * columns, 4.4 * lines), squeeze=False)
    for place in axes.flat[len(panels) :]:
        place.set_visible(False)
    for place, (num_floats, protocol) in zip(axes.flat, panels, strict=False):
        here = [row for row in rows if (row["num_floats"], row["protocol"]) == (num_floats, protocol)]
        for server, colour in _COLOURS.items():
            for marker, model in zip(_MARKERS, models, strict=False):
                line = points(here, server, model)
                if line:
                    place.plot(
                        [point[0] for point in line],
                        [point[1] for point in line],
                        marker=marker,
                        color=colour,
                        label=f"{server} {model}",
                        linewidth=1.2,
                        markersize=5,
                    )
        size_bytes = 4 * num_floats
        size = f"{size_bytes // 1000} KB" if size_bytes >= 1000 else f"{size_bytes} B"
        place.set_title(f"{protocol}, {size}")
        place.set_xscale("log")
        place.set_yscale("log")
        place.set_xlabel("infer/s (to the right is better)")
        place.set_ylabel("p99 ms (down is better)")
        place.grid(visible=True, which="both", alpha=0.25)
    names, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(names, labels, loc="lower center", ncol=4, fontsize=8, frameon=False)
    counts = ", ".join(str(count) for count in sorted({row["concurrency"] for row in rows}))
    figure.suptitle(
        f"Throughput against p99 with {counts} calls in flight\n{run['facts']['placement']}", fontsize=10
    )
    figure.tight_layout(rect=(0, 0.03 + 0.012 * len(labels) / 4, 1, 1))
    return figure


def draw_open_loop(run: dict[str, Any]) -> Any:
    """The figure of a run of openloop.py."""
    figure, (rates, latencies) = plt.subplots(1, 2, figsize=(12.4, 4.4))
    for server, by_load in run["open_loop"].items():
        offered = [float(load) for load in by_load]
        medians = {
            name: [statistics.median(each[name] for each in rounds) for rounds in by_load.values()]
            for name in ("goodput", "p99_ms")
        }
        colour = _COLOURS[server]
        rates.plot(offered, medians["goodput"], marker="o", color=colour, label=server)
        latencies.plot(offered, medians["p99_ms"], marker="o", color=colour, label=server)
    rates.set_ylabel("answers/s (up is better)")
    latencies.set_ylabel("p99 of answers, ms (down is better)")
    latencies.set_yscale("log")
    for place in (rates, latencies):
        place.set_xscale("log")
        place.set_xlabel("load offered, as a multiple of what the model can do")
        place.grid(visible=True, which="both", alpha=0.25)
        place.legend(frameon=False)
    figure.suptitle(
        f"A Python model that batches, under open-loop load\n{run['facts']['placement']}", fontsize=10
    )
    figure.tight_layout()
    return figure


def main(arguments: list[str]) -> int:
    """Draw each file that is named. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("results", nargs="+", type=Path, help="JSON files of run.py or openloop.py")
    for path in parser.parse_args(arguments).results:
        run = json.loads(path.read_text())
        figure = draw_open_loop(run) if "open_loop" in run else draw(run)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        plt.close(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
