"""Calls of tools by a real engine: what it has to call, it calls, whatever it knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from ..integration.conftest import Start
from .conftest import LOADS_IN_S, started_alone, write_llm

pytestmark = pytest.mark.timeout(2 * LOADS_IN_S)

TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "Rome"]},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
MESSAGES: Any = [{"role": "user", "content": "How warm is it in Paris?"}]


@pytest.fixture(scope="module")
def client(
    start_server: Start, llm_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    """Of the model with a template that shows tools, which its own does not."""
    root = tmp_path_factory.mktemp("tools")
    weights = root / "weights"
    weights.mkdir()
    for file in (llm_home / "model").iterdir():
        if file.name != "chat_template.jinja":
            (weights / file.name).symlink_to(file)
    (weights / "chat_template.jinja").write_text(TEMPLATE)
    write_llm(root / "models", llm_home, model=str(weights), max_model_len=512, kv_cache_memory_bytes=1 << 28)
    with (
        started_alone(start_server, root / "models") as server,
        openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def check_arguments(text: str) -> None:
    arguments = json.loads(text)
    assert set(arguments) == {"city", "unit"}
    assert arguments["city"] in ("Paris", "Rome")
    assert arguments["unit"] in ("celsius", "fahrenheit")


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["any", "named"]
)
def test_a_call_that_is_demanded(client: openai.OpenAI, choice: Any) -> None:
    answer = client.chat.completions.create(
        model="llm", messages=MESSAGES, tools=[WEATHER], tool_choice=choice, max_tokens=100
    )
    (call, *_) = answer.choices[0].message.tool_calls or []
    assert call.type == "function" and call.function.name == "get_weather"
    check_arguments(call.function.arguments)


def test_a_stream_of_a_call(client: openai.OpenAI) -> None:
    name, arguments = "", ""
    for chunk in client.chat.completions.create(
        model="llm",
        messages=MESSAGES,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=100,
        stream=True,
    ):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert name == "get_weather"
    check_arguments(arguments)


def test_a_call_that_it_may_make(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="llm", messages=MESSAGES, tools=[WEATHER], max_tokens=16, temperature=0
    )
    message = answer.choices[0].message
    assert message.content or message.tool_calls
