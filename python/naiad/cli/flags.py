"""What the flags of ``naiad serve`` are made with: their kinds, and the words that some of them take."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import typer

from naiad.cli.values import switch


class ControlMode(StrEnum):
    """How models come and go."""

    none = "none"
    explicit = "explicit"
    poll = "poll"
    ondemand = "ondemand"


class RateLimit(StrEnum):
    """What decides which instance runs next."""

    off = "off"
    execution_count = "execution_count"


class LogFormat(StrEnum):
    """The form of log lines."""

    default = "default"
    ISO8601 = "ISO8601"
    json = "json"


LOG_FORMATS: dict[LogFormat, Literal["default", "ISO8601", "json"]] = {
    LogFormat.default: "default",
    LogFormat.ISO8601: "ISO8601",
    LogFormat.json: "json",
}


def flag(name: str, panel: str, help_text: str, **more: Any) -> Any:
    return typer.Option(name, rich_help_panel=panel, help=help_text, show_default=True, **more)


def switch_flag(name: str, panel: str, help_text: str) -> Any:
    return flag(name, panel, help_text, parser=switch, metavar="BOOL")


def file_flag(name: str, panel: str, help_text: str) -> Any:
    return typer.Option(name, rich_help_panel=panel, help=help_text, show_default=False, metavar="FILE")


def port_flag(name: str, panel: str, help_text: str) -> Any:
    return flag(name, panel, help_text, min=0, max=65535)
