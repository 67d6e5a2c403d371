"""``naiad bench``."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from naiad.cli import bench_options as options
from naiad.cli.bench_streams import responses_table
from naiad.cli.console import plain_table, print_line, show_error
from naiad.cli.launch import USAGE
from naiad.errors import InvalidArgument, NaiadError, Unsupported

if TYPE_CHECKING:
    from naiad.loadgen.access import Access
    from naiad.loadgen.measure import Effort, Level
    from naiad.loadgen.prepare import Form
    from naiad.loadgen.turns import Ratio

_HEADS = {
    "url": "Server",
    "concurrency": "Conc",
    "request_rate": "Rate",
    "inferences_per_second": "Infer/s",
    "latency_mean_us": "Mean",
    "latency_p50_us": "p50",
    "latency_p90_us": "p90",
    "latency_p99_us": "p99",
    "server_queue_us": "Queue",
    "server_compute_infer_us": "Compute",
    "mean_batch": "Batch",
    "errors": "Err",
    "client_cpu_us_per_request": "CPU",
}


class Protocol(StrEnum):
    """What is spoken."""

    http = "http"
    grpc = "grpc"


class Distribution(StrEnum):
    """Of the times between requests."""

    constant = "constant"
    poisson = "poisson"


def bench(
    model: Annotated[str, typer.Argument(help="The model's name.", metavar="MODEL")],
    url: Annotated[
        str,
        typer.Option(
            "--url", "-u", help="HOST:PORT, with TLS https://HOST:PORT. [default: localhost, usual port]"
        ),
    ] = "localhost",
    protocol: Annotated[Protocol, typer.Option("--protocol", "-i", help="What is spoken.")] = Protocol.http,
    version: Annotated[str, typer.Option("--model-version", help="[default: the latest]")] = "",
    batch: Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Rows of a request.")] = 1,
    concurrency: Annotated[
        str,
        typer.Option(
            "--concurrency-range",
            help="Closed loop: so many requests under way at any time; FIRST:LAST:STEP for several levels.",
            metavar="N[:N[:N]]",
        ),
    ] = "1",
    rate: Annotated[
        str,
        typer.Option(
            "--request-rate-range",
            help="Open loop: so many requests in a second, whatever comes back; FIRST:LAST:STEP.",
            metavar="X[:X[:X]]",
        ),
    ] = "",
    distribution: Annotated[
        Distribution, typer.Option("--request-distribution", help="Of the times between requests.")
    ] = Distribution.constant,
    max_in_flight: Annotated[
        int, typer.Option("--max-in-flight", min=1, help="Open loop: what is under way at most.")
    ] = 1024,
    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", help="NAME:3,224,224, for dims that are of any size. Repeatable."),
    ] = None,
    input_data: Annotated[
        str,
        typer.Option("--input-data", help='random, zero, or a JSON file: {"data": [{"INPUT": [...]}]}.'),
    ] = "random",
    window_ms: Annotated[
        int, typer.Option("--measurement-interval", min=100, help="Milliseconds of a window.")
    ] = 2000,
    stability: Annotated[
        float,
        typer.Option("--stability-percentage", min=0.1, help="By how much three windows may differ."),
    ] = 10.0,
    max_windows: Annotated[int, typer.Option("--max-trials", min=3, help="Windows of a level.")] = 10,
    latency_limit_ms: Annotated[
        float,
        typer.Option("--latency-threshold", min=0, help="Stop where p99 is above so many ms; 0: never."),
    ] = 0,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Of the generator, which share the load.")
    ] = 1,
    headers: options.Headers = None,
    ca_file: options.CaFile = "",
    cert_file: options.CertFile = "",
    key_file: options.KeyFile = "",
    no_verify: options.NoVerify = False,
    streaming: options.Streaming = False,
    sequence_length: options.SequenceLength = 0,
    first_sequence: options.FirstSequence = 1,
    shared_memory: options.SharedMemory = options.Shared.none,
    output_bytes: options.OutputBytes = 102_400,
    input_format: options.InputFormat = options.TensorFormat.binary,
    output_format: options.OutputFormat = options.TensorFormat.binary,
    compare: Annotated[
        str | None,
        typer.Option("--compare", help="HOST:PORT of another server, measured in turns.", metavar="URL"),
    ] = None,
    turns: Annotated[
        int, typer.Option("--turns", min=1, help="With --compare: of each server, at each level.")
    ] = 3,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", help="Draw throughput against latency: .svg, .png or .pdf.", metavar="FILE"
        ),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", "-f", help="Write the figures there.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON in place of the table.")] = False,
    seed: Annotated[int, typer.Option("--random-seed", help="Of values and times.")] = 0,
) -> None:
    """Measure a model on a server, or on two in turns: throughput and latency by concurrency, or by rate.

    Exit status: 0 done, 1 requests failed or the server is not reached.
    """
    from naiad.loadgen.measure import Effort
    from naiad.loadgen.picture import check_picture, draw
    from naiad.loadgen.report import row_of, to_csv
    from naiad.loadgen.turns import ratios, together

    screen = Console(stderr=True)
    effort = Effort(
        window_s=window_ms / 1000, stability=stability / 100, max_windows=max_windows, processes=processes
    )
    urls = [url] if compare is None else [url, compare]
    rows: list[dict[str, Any]] = []
    compared: list[dict[str, Ratio | None]] = []
    regions = ExitStack()
    reasons: Counter[str] = Counter()
    try:
        if picture is not None:
            check_picture(picture)
        levels = _levels(concurrency, rate, max_in_flight)
        measured = _measure(
            urls, protocol.value, model, version, batch, levels, shape or [], input_data, distribution.value,
            effort, seed, screen, 1 if compare is None else turns,
            options.access(urls, headers, ca_file, cert_file, key_file, no_verify),
            options.form(
                streaming, sequence_length, first_sequence, shared_memory, output_bytes, input_format,
                output_format,
            ), regions,
        )  # fmt: skip
        for sides in measured:
            at_level = [
                row_of(one, together(of_turns), batch) for one, of_turns in zip(urls, sides, strict=True)
            ]
            rows += at_level
            if compare is not None:
                compared.append(ratios(*sides))
            for of_turns in sides:
                for one in of_turns:
                    reasons += one.window.errors
            if latency_limit_ms and any(row["latency_p99_us"] > latency_limit_ms * 1000 for row in at_level):
                break
        if picture is not None:
            lines = {one: [row for row in rows if row["url"] == one] for one in urls}
            draw(picture, f"{model} over {protocol.value}, batch size {batch}", lines)
    except InvalidArgument as error:
        show_error(screen, str(error), "`naiad bench --help` shows what there is")
        raise typer.Exit(USAGE) from None
    except Unsupported as error:
        show_error(screen, str(error), "pip install 'naiad[bench]'")
        raise typer.Exit(USAGE) from None
    except NaiadError as error:
        show_error(screen, str(error), f"start one with `naiad serve`, or name it with --url (now {url})")
        raise typer.Exit(1) from None
    finally:
        regions.close()
    if csv_file is not None:
        csv_file.write_text(to_csv(rows), encoding="utf-8")
    if as_json:
        tree: dict[str, Any] = {"model": model, "protocol": protocol.value, "levels": rows}
        if compare is not None:
            tree["ratios"] = [
                {name: ratio and asdict(ratio) for name, ratio in of_level.items()} for of_level in compared
            ]
        typer.echo(json.dumps(tree, indent=2))
    else:
        console = Console()
        console.print(results_table(rows))
        if streaming:
            console.print(responses_table(rows))
        if compare is not None:
            console.print(ratios_table(urls, rows[:: len(urls)], compared))
        console.print(
            "[dim]Microseconds. Queue, Compute: the server's, for one request. CPU: this client's own[/]",
            soft_wrap=True,
        )
    for reason, count in reasons.most_common(5):
        print_line(screen, f"[red]{count} requests failed:[/] {escape(reason)}")
    if unstable := [row for row in rows if not row["stable"]]:
        print_line(
            screen,
            f"[yellow]{len(unstable)} of {len(rows)} levels were not stable[/] within {stability:g}%: more "
            "--max-trials, a longer --measurement-interval, or a quieter machine",
        )
    raise typer.Exit(1 if reasons else 0)


def _measure(
    urls: Sequence[str],
    protocol: Any,
    model: str,
    version: str,
    batch: int,
    levels: list[tuple[int, float]],
    shape: list[str],
    input_data: str,
    distribution: Any,
    effort: Effort,
    seed: int,
    screen: Console,
    turns: int,
    access: Access,
    form: Form,
    regions: ExitStack,
) -> Iterator[list[list[Level]]]:
    """Of each level: server -> turns."""
    from naiad.loadgen.prepare import load_of
    from naiad.loadgen.turns import measure_in_turns

    loads = [
        load_of(
            *(url, protocol, model, version, batch, shape, input_data, distribution, seed),
            access=access, form=form, regions=regions,
        )
        for url in urls
    ]  # fmt: skip
    for concurrency, rate in levels:
        what = f"{rate:g} requests/s" if rate else f"concurrency {concurrency}"
        sides = [
            (replace(scenario, concurrency=concurrency, rate=rate), target) for scenario, target in loads
        ]
        with screen.status(f"Measuring {what}") as status:

            def tell(side: int, window: Any, status: Any = status, what: str = what) -> None:
                where = f" on {escape(urls[side])}" if len(urls) > 1 else ""
                figures = f"{window.per_second:,.0f}/s, {window.mean_s * 1e3:.2f} ms"
                status.update(f"Measuring {what}{where}: {figures}")

            yield measure_in_turns(sides, turns, effort, tell)


def _levels(concurrency: str, rate: str, max_in_flight: int) -> list[tuple[int, float]]:
    """Concurrency and rate of each level. Raises InvalidArgument."""
    if rate:
        return [(max_in_flight, level) for level in read_range("--request-rate-range", rate)]
    levels = read_range("--concurrency-range", concurrency)
    if any(level != int(level) for level in levels):
        raise InvalidArgument(f"--concurrency-range '{concurrency}' should be whole numbers")
    return [(int(level), 0.0) for level in levels]


def read_range(flag: str, text: str) -> list[float]:
    """``8``, ``1:8`` or ``1:8:2``. Raises InvalidArgument."""
    if not re.fullmatch(r"\d+(\.\d+)?(:\d+(\.\d+)?){0,2}", text):
        raise InvalidArgument(f"{flag} '{text}' should be FIRST[:LAST[:STEP]]")
    first, *more = map(float, text.split(":"))
    last = more[0] if more else first
    step = more[1] if len(more) > 1 else 1.0
    if first <= 0 or last < first or step <= 0 or (last - first) / step > 1000:
        raise InvalidArgument(f"{flag} '{text}' should go up from above 0, in at most 1000 steps")
    return [first + step * index for index in range(int((last - first) / step + 1e-9) + 1)]


def results_table(rows: list[dict[str, Any]]) -> Table:
    """The columns that say something."""
    table = plain_table()
    shown = [name for name in _HEADS if name != "request_rate" or any(row[name] for row in rows)]
    shown = [name for name in shown if name != "concurrency" or not any(row["request_rate"] for row in rows)]
    if len({row["url"] for row in rows}) == 1:
        shown.remove("url")
    if any(row["late"] for row in rows):
        shown.append("late")
    for name in shown:
        justify: Any = "left" if name == "url" else "right"
        table.add_column(_HEADS.get(name, "Late"), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in shown), style="" if row["stable"] else "dim")
    return table


def ratios_table(
    urls: Sequence[str], rows: Sequence[dict[str, Any]], compared: Sequence[dict[str, Ratio | None]]
) -> Table:
    """The first server over the second: the median of the turns, and their least and most."""
    table = plain_table()
    table.add_column(f"{urls[0]} / {urls[1]}")
    for name in ("requests_per_second", "latency_p50_us", "latency_p99_us"):
        table.add_column("Requests/s" if name == "requests_per_second" else _HEADS[name], justify="right")
    for row, of_level in zip(rows, compared, strict=True):
        load = f"{row['request_rate']:g}/s" if row["request_rate"] else f"concurrency {row['concurrency']}"
        table.add_row(load, *(_spread(ratio) for ratio in of_level.values()))
    return table


def _spread(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if name == "mean_batch" else f"{value:,.0f}"
    return str(value)
