"""Log lines in Triton's form."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from naiad import logs
from naiad.logs import JsonFormatter, log
from naiad.settings import LogFormat, LogSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    log.handlers.clear()
    yield
    for handler in log.handlers:
        handler.close()
    log.handlers[:] = handlers
    log.setLevel(level)
    log.propagate = propagate


def written(path: Path, settings: LogSettings) -> str:
    logs.configure(settings)
    log.debug("detail")
    log.info("Started %s", "x")
    log.warning("careful")
    log.error("broken")
    return path.read_text()


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("default", r'I\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ test_logs\.py:\d+\] "Started x"'),
        ("ISO8601", r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ I \d+ test_logs\.py:\d+\] "Started x"'),
    ],
)
def test_the_forms(tmp_path: Path, form: LogFormat, pattern: str) -> None:
    text = written(tmp_path / "log", LogSettings(format=form, file=tmp_path / "log"))
    assert re.fullmatch(pattern, text.splitlines()[0])
    assert "detail" not in text


@pytest.mark.parametrize("name", ["info", "warning", "error"])
def test_levels_are_switched_one_by_one(tmp_path: Path, name: str) -> None:
    words = {"info": "Started", "warning": "careful", "error": "broken"}
    settings = LogSettings(**{name: False}, file=tmp_path / "log")  # type: ignore[arg-type]
    text = written(tmp_path / "log", settings)
    assert [word for word in words.values() if word in text] == [w for k, w in words.items() if k != name]


def test_verbose_shows_details(tmp_path: Path) -> None:
    assert "detail" in written(tmp_path / "log", LogSettings(verbose=1, file=tmp_path / "log"))


def test_a_name_cannot_forge_a_line(tmp_path: Path) -> None:
    logs.configure(LogSettings(file=tmp_path / "log"))
    log.info("model '%s'", "a\nE0101 forged\x1b[31m")
    text = (tmp_path / "log").read_text()
    assert len(text.splitlines()) == 1 and "\x1b" not in text


def test_configuring_again_replaces(tmp_path: Path) -> None:
    logs.configure(LogSettings(file=tmp_path / "one"))
    logs.configure(LogSettings(file=tmp_path / "two"))
    logging.getLogger("naiad.child").info("here")
    assert (tmp_path / "one").read_text() == "" and "here" in (tmp_path / "two").read_text()


def test_table() -> None:
    assert logs.table(("Model", "V"), [("a", "12")]).splitlines() == [
        "+-------+----+",
        "| Model | V  |",
        "+-------+----+",
        "| a     | 12 |",
        "+-------+----+",
    ]


def test_json_lines() -> None:
    record = logging.LogRecord("naiad", logging.WARNING, "/x/server.py", 7, 'a "b"\n\x1b é %s', ("c",), None)
    record.created = 1764298800.25
    record.table = "+--+\n|a |"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2025-11-28T03:00:00.250000Z",
        "level": "WARNING",
        "pid": record.process,
        "file": "server.py",
        "line": 7,
        "message": 'a "b"\n\x1b é c',
        "table": ["+--+", "|a |"],
    }


def test_json_lines_hold_tracebacks() -> None:
    try:
        raise ValueError("no\nway")
    except ValueError:
        record = logging.LogRecord("naiad", logging.ERROR, "x.py", 1, "failed", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: no\nway" in json.loads(line)["exception"]
