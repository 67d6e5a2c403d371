"""Questions for the model `llm`, and what its engine and its server have."""

from __future__ import annotations

import http.client
import json
from typing import Any

import psutil

from ..integration.conftest import ServerProcess, exchange
from ..integration.language_streams import metric_lines, open_stream
from .conftest import LOADS_IN_S

PATIENCE_S = 60
PROMPT = "The capital of France is"
GREEDY = {"temperature": 0, "max_tokens": 12}


def generate(server: ServerProcess, text: str = PROMPT, **more: object) -> Any:
    body = {"text_input": text, "exclude_input_in_output": True} | more
    connection = http.client.HTTPConnection(server.http, timeout=LOADS_IN_S)
    status, _, answer = exchange(connection, "POST", "/v2/models/llm/generate", json.dumps(body))
    connection.close()
    assert status == 200, answer
    return json.loads(answer)


def stream(server: ServerProcess, text: str = PROMPT, **more: object) -> tuple[Any, Any]:
    return open_stream(server, text, LOADS_IN_S, more)


def metric(server: ServerProcess, name: str) -> float:
    return sum(float(line.split()[-1]) for line in metric_lines(server, name, 60))


def in_engine(server: ServerProcess) -> float:
    """How many requests run, or wait for their turn."""
    return metric(server, "vllm:num_requests_running") + metric(server, "vllm:num_requests_waiting")


def engine_of(server: ServerProcess) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if child.name().startswith("VLLM::")]
