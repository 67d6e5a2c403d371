"""Streams of a language model `llm`, and what its engine reports, for tests on a live server."""

from __future__ import annotations

import http.client
import json
from typing import Any

from .conftest import ServerProcess, exchange


def open_stream(
    server: ServerProcess, text: str, timeout_s: float, more: dict[str, object]
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """The connection, and the answer whose lines can be read. ``more``: what the request says besides."""
    connection = http.client.HTTPConnection(server.http, timeout=timeout_s)
    body = {"text_input": text, "stream": True} | more
    connection.request("POST", "/v2/models/llm/generate_stream", json.dumps(body))
    return connection, connection.getresponse()


def events(response: http.client.HTTPResponse) -> list[Any]:
    """Those that have not been read yet; waits for the last one."""
    return [
        json.loads(line[6:]) for line in response.read().decode().splitlines() if line.startswith("data: ")
    ]


def metric_lines(server: ServerProcess, name: str, timeout_s: float) -> list[str]:
    """The lines of one metric."""
    connection = http.client.HTTPConnection(server.metrics, timeout=timeout_s)
    _, _, page = exchange(connection, "GET", "/metrics")
    connection.close()
    return [line for line in page.decode().splitlines() if line.startswith(f"{name}{{")]
