"""Streams of one text: those of the HTTP port come from the core, those of the port of its own from Python.
Both are the same.
"""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

import pytest

from .conftest import ServerProcess

_COMPLETIONS, _CHAT = "/v1/completions", "/v1/chat/completions"


@pytest.fixture(scope="module")
def ports(openai_server: ServerProcess) -> tuple[str, str]:
    found = re.search(r"Started OpenAI Service at 127\.0\.0\.1:(\d+)", openai_server.log)
    assert found is not None
    return openai_server.http, f"127.0.0.1:{found[1]}"


def ask(address: str, path: str, body: Any) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    fields = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, fields, text


def told(path: str, words: str, **more: Any) -> dict[str, Any]:
    asked = {"prompt": words} if path == _COMPLETIONS else {"messages": [{"role": "user", "content": words}]}
    return {"model": "language", "stream": True, **asked, **more}


def events(text: str) -> list[Any]:
    """What the events hold, but for ids and times; or the one JSON object that it is."""
    text = re.sub(r'"id":"(cmpl|chatcmpl)-[0-9a-f]{32}"', '"id":"ID"', text)
    text = re.sub(r'"created":\d+', '"created":0', text)
    if not text.startswith("data: "):
        return [json.loads(text)]
    parts = text.removesuffix("\n\n").split("\n\n")
    assert all(part.startswith("data: ") for part in parts)
    return [part if part == "data: [DONE]" else json.loads(part[6:]) for part in parts]


@pytest.mark.parametrize("path", [_COMPLETIONS, _CHAT])
@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0},
        {"max_tokens": 2},
        {"stream_options": {"include_usage": True}},
        {"n": 2},
    ],
    ids=lambda more: next(iter(more)),
)
def test_both_say_the_same(ports: tuple[str, str], path: str, more: dict[str, Any]) -> None:
    body = told(path, 'SAY one "two" \u00e4 \U0001f600 four', **more)
    from_core, from_python = (ask(address, path, body) for address in ports)
    assert events(from_core[2]) == events(from_python[2])
    assert from_core[0] == from_python[0] == 200
    for name in ("content-type", "cache-control"):
        assert from_core[1][name] == from_python[1][name]
    assert not any("naiad" in name for name in from_core[1])
    assert from_core[2].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("path", [_COMPLETIONS, _CHAT])
@pytest.mark.parametrize(
    "words", ["SAY FAIL", "SAY one BREAK", "SAY ABORT", "SAY one ABORT"], ids=lambda words: words[4:].lower()
)
def test_both_fail_the_same(ports: tuple[str, str], path: str, words: str) -> None:
    from_core, from_python = (ask(address, path, told(path, words)) for address in ports)
    assert from_core[0] == from_python[0]
    assert events(from_core[2]) == events(from_python[2])
    assert '"error"' in from_core[2]


def test_a_model_of_texts_alone(ports: tuple[str, str]) -> None:
    body = {"model": "plain", "prompt": "hello", "stream": True}
    from_core, from_python = (ask(address, _COMPLETIONS, body) for address in ports)
    assert events(from_core[2]) == events(from_python[2])
    assert '"finish_reason":"stop"' in from_core[2]
