from __future__ import annotations

import json

import pytest
from sidebyside.case import Case
from sidebyside.measure import Sample
from sidebyside.report import (
    NAIAD,
    TRITON,
    Row,
    Run,
    ServerFigures,
    format_figure,
    ratio,
    render_json,
    render_markdown,
    without_paths,
)


def sample(requests_per_s: float, server_cpu_us: float) -> Sample:
    return Sample(100, requests_per_s, 0.25, 1.5, server_cpu_us, 9.0, 80.0, 40.0)


def two_servers() -> Run:
    ours = [sample(3000, 10), sample(1000, 40), sample(2000, 20)]
    theirs = [sample(1000, 40), sample(1000, 50), sample(1000, 50)]
    figures = {
        label: ServerFigures(f"{label} 1.0", [1.0, 3.0, 1.5], 70.0, 30.0, 0.5) for label in (NAIAD, TRITON)
    }
    rows = [
        Row("h2load", Case("identity_py", "http", 16, 8), {NAIAD: ours, TRITON: theirs}, {}),
        Row("h2load", Case("simple", "grpc", 150_000, 1), {NAIAD: ours}, {TRITON: "is not measured"}),
    ]
    return Run({"commit": "abc"}, figures, rows)


def test_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    rows = two_servers().rows
    assert ratio(rows[0], lambda s: s.requests_per_s) == 2.0
    assert ratio(rows[0], lambda s: s.server_cpu_us) == 0.4
    assert ratio(rows[1], lambda s: s.server_cpu_us) is None


def test_markdown_has_medians_of_both_and_names_who_is_left_out() -> None:
    text = render_markdown(two_servers())
    lines = text.splitlines()
    assert (
        "| identity_py | http | 64 B | 8 | 2,000 / 1,000 | 0.250 / 0.250 | 1.50 / 1.50 | 20.0 / 50.0 "
        "| 80.0 / 80.0 | 2.00 | 0.40 |" in lines
    )
    assert (
        "| simple | grpc | 600 KB | 1 | 2,000 / - | 0.250 / - | 1.50 / - | 20.0 / - | 80.0 / - | - | - |"
        in lines
    )
    assert "- simple: Triton is not measured" in lines
    assert "| naiad | naiad 1.0 | 1.50 | 70.0 | 30.0 | 0.5 |" in lines
    assert "naiad alone" not in text


def test_markdown_without_triton_says_that_nothing_is_compared() -> None:
    run = two_servers()
    alone = Run(run.facts, {NAIAD: run.servers[NAIAD]}, run.rows[1:])
    assert "naiad alone, nothing is compared" in render_markdown(alone)


def test_every_table_line_has_as_many_cells_as_its_header() -> None:
    widths = {
        line.count("|") for line in render_markdown(two_servers()).splitlines() if line.startswith("| iden")
    }
    header = next(line for line in render_markdown(two_servers()).splitlines() if line.startswith("| model"))
    assert widths == {header.count("|")}


def test_json_keeps_every_round() -> None:
    rows = json.loads(render_json(two_servers()))["rows"]
    assert [each["server_cpu_us"] for each in rows[0]["rounds"][NAIAD]] == [10, 40, 20]
    assert rows[1]["left_out"] == {TRITON: "is not measured"}


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (12345.6, "12,346"), (45.64, "45.6"), (4.564, "4.56"), (0.0789, "0.079")]
)
def test_figures(value: float, shown: str) -> None:
    assert format_figure(value) == shown


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/opt/x/tritonserver --model-repository={repo}", "tritonserver --model-repository={repo}"),
        ("run.py --out=/home/me/bench.md 'a b'", "run.py --out=bench.md 'a b'"),
        (
            "python bench/e2e/run.py --cases identity_py/http",
            "python bench/e2e/run.py --cases identity_py/http",
        ),
        ("run.py --cases edge_live/http/-/c8", "run.py --cases edge_live/http/-/c8"),
        ("HTTP/1.1 naiad / Triton", "HTTP/1.1 naiad / Triton"),
    ],
)
def test_no_folder_of_this_machine_is_published(text: str, cut: str) -> None:
    assert without_paths(text) == cut
