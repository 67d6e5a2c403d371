"""Clients that go, an engine that is killed, a server that stops: last, for it ends the server of the others.

NAIAD_LLM_STREAMS says how many streams are cut off.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psutil
import pytest

from ..integration.conftest import ServerProcess, lives, until
from ..integration.language_streams import events
from .conftest import LOADS_IN_S
from .engine_requests import GREEDY, PATIENCE_S, engine_of, generate, in_engine, stream

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

NUM_STREAMS = int(os.environ.get("NAIAD_LLM_STREAMS", "50"))
WAVE = 25
"""Streams at a time, all in the midst of their answers when they are cut off."""
GROWTH_MB = 16
"""Of the server, over all streams behind those of the first two waves; and of the engine's client."""
ENDLESS = {"max_tokens": 900, "ignore_eos": True}


def test_clients_that_go_leave_nothing_in_the_engine(llm_server: ServerProcess) -> None:
    # Most of many wait in the engine for their turn, and have no head of an answer yet.
    body = {"stream": True, "parameters": {"max_tokens": 900, "ignore_eos": True}}
    connections = [http.client.HTTPConnection(llm_server.http, timeout=60) for _ in range(NUM_STREAMS)]
    for number, connection in enumerate(connections):
        text = {"text_input": f"{number}. Once upon a time"}
        connection.request("POST", "/v2/models/llm/generate_stream", json.dumps(body | text))
    until(lambda: in_engine(llm_server) == NUM_STREAMS, patience_s=PATIENCE_S)
    for connection in connections:
        connection.close()
    until(lambda: in_engine(llm_server) == 0, patience_s=PATIENCE_S)
    assert "Paris" in generate(llm_server, parameters=GREEDY)["text_output"]


@dataclass(frozen=True)
class Held:
    """What the server holds: itself, and the worker that is the client of the engine."""

    server_mb: float
    worker_mb: float
    num_files: int
    num_threads: int

    @classmethod
    def now(cls, server: ServerProcess) -> Held:
        process = psutil.Process(server.process.pid)
        worker = process.children()[0]
        sizes = [each.memory_info().rss / (1 << 20) for each in (process, worker)]
        return cls(*sizes, process.num_fds(), process.num_threads())


def cut_off(server: ServerProcess, number: int, count: int) -> None:
    """Cuts ``count`` streams off behind their first tokens; every other one is a chat of OpenAI's API."""
    with ExitStack() as opened:
        answers = []
        for each in range(number, number + count):
            connection = opened.enter_context(
                closing(http.client.HTTPConnection(server.http, timeout=PATIENCE_S))
            )
            text = f"{each}. Once upon a time"
            if each % 2:
                path = "/v1/chat/completions"
                asked = {
                    "model": "llm",
                    "stream": True,
                    "messages": [{"role": "user", "content": text}],
                } | ENDLESS
            else:
                path = "/v2/models/llm/generate_stream"
                asked = {"stream": True, "text_input": text, "parameters": ENDLESS}
            connection.request("POST", path, json.dumps(asked))
            answers.append(connection)
        for connection in answers:
            response = opened.enter_context(closing(connection.getresponse()))
            assert response.readline().startswith(b"data: ")
    until(lambda: in_engine(server) == 0, patience_s=PATIENCE_S)


def test_streams_that_are_cut_off_leave_nothing(llm_server: ServerProcess) -> None:
    waves = [min(WAVE, NUM_STREAMS - begun) for begun in range(0, NUM_STREAMS, WAVE)]
    for number in range(2):
        cut_off(llm_server, number * WAVE, WAVE)
    before = Held.now(llm_server)
    for number, count in enumerate(waves):
        cut_off(llm_server, 1000 + number * WAVE, count)
    # A connection for metrics may be about to close.
    files = psutil.Process(llm_server.process.pid).num_fds
    until(lambda: files() <= before.num_files, "files are left open")
    after = Held.now(llm_server)
    print(f"{sum(waves)} streams cut off: before them {before}, behind them {after}")
    assert after.server_mb - before.server_mb < GROWTH_MB
    assert after.worker_mb - before.worker_mb < GROWTH_MB
    assert after.num_threads <= before.num_threads
    assert "Paris" in generate(llm_server, parameters=GREEDY)["text_output"]


def test_an_engine_that_is_killed(llm_server: ServerProcess) -> None:
    connection, response = stream(llm_server, parameters={"max_tokens": 900, "ignore_eos": True})
    assert response.readline().startswith(b"data: ")
    killed = next(
        process for process in engine_of(llm_server) if process.name().startswith("VLLM::EngineCor")
    )
    os.kill(killed.pid, signal.SIGKILL)
    assert "its engine has died" in events(response)[-1]["error"]
    connection.close()
    until(lambda: llm_server.call("GET", "/v2/models/llm/ready")[0] == 400, patience_s=PATIENCE_S)
    until(lambda: llm_server.call("GET", "/v2/models/llm/ready")[0] == 200, patience_s=LOADS_IN_S)
    assert "Paris" in generate(llm_server, parameters=GREEDY)["text_output"]


def test_a_server_that_stops_ends_its_engine(llm_server: ServerProcess) -> None:
    processes = engine_of(llm_server)
    assert processes
    llm_server.signal()
    assert llm_server.wait() == 0
    until(lambda: not any(lives(process.pid) for process in processes), patience_s=PATIENCE_S)
