"""The picture of a run: which points it draws."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="pictures need the bench extra")

from picture import draw, draw_open_loop, points


def _row(model: str, concurrency: int, rounds: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    return {
        "client": "h2load",
        "model": model,
        "protocol": "http",
        "num_floats": 16,
        "concurrency": concurrency,
        "rounds": {
            server: [{"requests_per_s": rate, "p99_ms": p99} for rate, p99 in samples]
            for server, samples in rounds.items()
        },
    }


def test_points_are_medians_in_the_order_of_calls_in_flight() -> None:
    rows = [
        _row("m", 8, {"naiad": [(300.0, 3.0), (100.0, 1.0), (200.0, 9.0)]}),
        _row("m", 1, {"naiad": [(50.0, 0.5)], "Triton": []}),
        _row("other", 1, {"naiad": [(7.0, 7.0)]}),
    ]
    assert points(rows, "naiad", "m") == [(50.0, 0.5, 1), (200.0, 3.0, 8)]
    assert points(rows, "Triton", "m") == []


def test_each_protocol_and_size_has_a_panel() -> None:
    rows = [_row("m", 1, {"naiad": [(1.0, 1.0)], "Triton": [(1.0, 2.0)]})]
    rows.append(rows[0] | {"protocol": "grpc"})
    rows.append(rows[0] | {"num_floats": 150_000})
    figure = draw({"rows": rows, "facts": {"placement": "free"}})
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == ["grpc, 64 B", "http, 64 B", "http, 600 KB"]


def test_open_loop_against_the_load() -> None:
    rounds = {"0.5": [{"goodput": 10.0, "p99_ms": 3.0}], "10": [{"goodput": 20.0, "p99_ms": 9.0}]}
    figure = draw_open_loop(
        {"facts": {"placement": "free"}, "open_loop": {"naiad": rounds, "Triton": rounds}}
    )
    assert [len(place.lines) for place in figure.axes] == [2, 2]
    assert list(figure.axes[0].lines[0].get_ydata()) == [10.0, 20.0]
