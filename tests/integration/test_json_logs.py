"""Logs as JSON, and the access log."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import grpc
import pytest

from .conftest import ServerProcess, Start, infer_request, until


@pytest.fixture(scope="module")
def logged(start_server: Start, repository: Path) -> ServerProcess:
    return start_server(repository, "--log-format=json", "--log-access", "--log-verbose=1")


def messages(server: ServerProcess) -> list[str]:
    """Of all lines so far, each of which is one JSON object."""
    lines = [json.loads(line) for line in list(server.lines)]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
        assert line.keys() >= {"pid", "file", "line", "message"}
    return [line["message"] for line in lines]


def has_line(server: ServerProcess, expected: str) -> bool:
    return any(re.fullmatch(expected, message) for message in messages(server))


def test_each_line_is_an_object(logged: ServerProcess) -> None:
    assert any(message.startswith("Started HTTPService at 127.0.0.1:") for message in messages(logged))
    tables = [json.loads(line).get("table") for line in list(logged.lines)]
    assert any(table and "| Model " in table[1] for table in tables)


def test_requests_are_logged(logged: ServerProcess) -> None:
    path = "/v2/models/identity/infer"
    assert logged.json("POST", path + "?secret=x", infer_request(1.0))[0] == 200
    logged.call("GET", '/v2/models/"\\%0A')
    with grpc.insecure_channel(logged.grpc) as channel:
        channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=30)
    form = r"access {} 127\.0\.0\.1:\d+ {} {} status={} duration_us=\d+"
    for expected in (
        form.format("http", "POST", re.escape(path), 200),
        form.format("grpc", "POST", "/inference.GRPCInferenceService/ServerLive", 0),
        form.format("http", "GET", r'/v2/models/"\\%0A', 404),
    ):
        until(partial(has_line, logged, expected), expected)
    assert not any("secret" in message for message in messages(logged))


def test_the_form_is_changed_while_it_runs(logged: ServerProcess) -> None:
    assert logged.json("POST", "/v2/logging", {"log_format": "default"})[0] == 200
    assert logged.json("GET", "/v2/logging")[1]["log_format"] == "default"  # type: ignore[index]
    assert logged.json("POST", "/v2/logging", {"log_format": "json"})[0] == 200
