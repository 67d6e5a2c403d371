"""``naiad doctor``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from naiad.cli.console import print_line
from naiad.doctor.finding import Finding

_COLORS = {"ok": "green", "absent": "dim", "warning": "yellow", "problem": "red"}
_WORDS = {"absent": "-"}


def doctor(
    http_port: Annotated[int, typer.Option("--http-port", min=1, max=65535, help="Port to look at.")] = 8000,
    grpc_port: Annotated[int, typer.Option("--grpc-port", min=1, max=65535, help="Port to look at.")] = 8001,
    metrics_port: Annotated[
        int, typer.Option("--metrics-port", min=1, max=65535, help="Port to look at.")
    ] = 8002,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what this machine has of what a server needs, and the line that mends what it lacks.

    Exit status: 0 when models can be served, 1 with a problem.
    """
    from naiad.doctor.examine import examine

    ports = {"--http-port": http_port, "--grpc-port": grpc_port, "--metrics-port": metrics_port}
    findings = examine(ports)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        typer.echo(
            json.dumps({"ok": not problems, "findings": [one.to_json() for one in findings]}, indent=2)
        )
    else:
        show(Console(), findings)
    raise typer.Exit(1 if problems else 0)


def show(console: Console, findings: Sequence[Finding]) -> None:
    """By groups, then how it is. Lines are not wrapped: those with > are to be copied."""
    width = max(len(one.name) for one in findings)
    for group, members in groupby(findings, key=lambda one: one.group):
        print_line(console, f"[bold]{group}[/]")
        for one in members:
            mark = f"[{_COLORS[one.state]}]{_WORDS.get(one.state, one.state):<8}[/]"
            print_line(console, f"  {mark} {escape(one.name):<{width}}  {escape(one.what)}")
            if one.mend:
                print_line(console, f"  {'':<8} {'':<{width}}  [cyan]> {escape(one.mend)}[/]")
    problems, warnings = (_count(findings, state) for state in ("problem", "warning"))
    if problems:
        print_line(console, f"\n[red]{problems}[/]: the lines with > mend them")
    elif warnings:
        print_line(console, f"\nReady to serve, with {warnings}")
    else:
        print_line(console, "\n[green]Ready to serve[/]")


def _count(findings: Sequence[Finding], state: str) -> str:
    count = sum(one.state == state for one in findings)
    return f"{count} {state}{'s' if count > 1 else ''}" if count else ""
