"""Chat templates, as transformers renders them."""

from __future__ import annotations

import sys

import pytest

from naiad.openai.chat_template import ChatTemplate
from naiad.openai.errors import ApiError

# Of SmolLM2-135M-Instruct.
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, "
    "trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello"}]


def render(source: str, **more: object) -> str:
    return ChatTemplate(source, {"bos_token": "<s>"}).render(HELLO, **more)  # type: ignore[arg-type]


def test_a_real_one() -> None:
    assert render(SMOLLM2) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert render(SMOLLM2, add_generation_prompt=False).endswith("Hello<|im_end|>\n")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("  {% if true %}\na\n  {% endif %}\nb", "a\nb"),  # trim_blocks, lstrip_blocks
        ("{{ bos_token }}{{ tools }}", "<s>None"),
        ("{{ {'b': '<é>', 'a': [1]} | tojson }}", '{"b": "<é>", "a": [1]}'),
        ("{{ [1, 2] | tojson(indent=1) }}", "[\n 1,\n 2\n]"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}x{% endgeneration %}", "x"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ extra }}", "more"),
    ],
)
def test_what_templates_may_say(source: str, text: str) -> None:
    assert render(source, variables={"extra": "more"}) == text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('no system') }}", "no system"),
        ("{{ messages.append(1) }}", "append"),
        ("{{ ''.__class__.__mro__ }}", "__class__|unsafe"),
        ("{{ messages[0].content + 1 }}", "concatenate"),
    ],
)
def test_what_fails_in_a_template_is_the_request_s_fault(source: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        render(source)
    assert caught.value.status == 400


def test_what_a_template_knows() -> None:
    assert ChatTemplate("{% for part in message['content'] %}{% endfor %}", {}).takes_parts
    assert ChatTemplate("{% for part in message.content %}{% endfor %}", {}).takes_parts
    assert not ChatTemplate(SMOLLM2, {}).takes_parts
    assert not ChatTemplate(SMOLLM2, {}).knows_tools
    with pytest.raises(ApiError) as caught:
        ChatTemplate("{% if %}", {})
    assert caught.value.status == 500


def test_without_jinja2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ApiError, match=r"pip install 'naiad\[openai\]'"):
        ChatTemplate("", {})
