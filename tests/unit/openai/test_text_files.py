"""The folder of a model's tokenizer and template."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from naiad.config import ModelConfig
from naiad.openai.chat_prompt import ChatPrompts
from naiad.openai.errors import ApiError
from naiad.openai.messages import read_messages
from naiad.openai.sampling import Sampling
from naiad.openai.text_files import TextFiles, encode, find_text_files, text_of
from naiad.openai.text_models import TextModels
from naiad.openai.tools import Tools
from naiad.repository.scan import read_model

from .conftest import config, entry, tensor

PARAMETER = 'parameters {{ key: "tokenizer" value {{ string_value: "{}" }} }}'
LANGUAGE = (
    f"input [ {tensor('text_input', 'STRING', '1')} ] output [ {tensor('text_output', 'STRING', '1')} ]"
)


def folder(path: Path, **settings: Any) -> Path:
    path.mkdir(parents=True)
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return path


def found(root: Path, model: ModelConfig) -> TextFiles | None:
    return find_text_files(read_model(root, "m"), 1, model)


def engine_model(root: Path, arguments: Any) -> ModelConfig:
    (root / "m" / "1").mkdir(parents=True, exist_ok=True)
    (root / "m" / "1" / "model.json").write_text(json.dumps(arguments))
    return config('backend: "vllm"')


@pytest.mark.parametrize(
    ("where", "name"),
    [("m/weights", "weights"), ("m/1/weights", "weights"), ("m/w", "$$TRITON_MODEL_DIRECTORY/w")],
)
def test_of_an_engine_s_model(tmp_path: Path, where: str, name: str) -> None:
    folder(tmp_path / where, chat_template="hi {{ bos_token }}", bos_token={"content": "<s>"})
    files = found(tmp_path, engine_model(tmp_path, {"model": name, "max_model_len": 64}))
    assert files is not None and files.template is not None
    assert files.template.render([]) == "hi <s>"
    assert files.limit == 64
    assert files.tokenizer is None


def test_an_absolute_path_and_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    folder(tmp_path / "a", chat_template="a")
    other = folder(
        tmp_path / "b", chat_template=[{"name": "default", "template": "b"}], model_max_length=1e30
    )
    (tmp_path / "b" / "chat_template.jinja").write_text("c")
    model = engine_model(tmp_path, {"model": str(tmp_path / "a"), "tokenizer": str(other)})
    files = found(tmp_path, model)
    assert files is not None and files.template is not None
    assert files.template.render([]) == "c"
    assert files.limit is None
    (tmp_path / "b" / "chat_template.jinja").unlink()
    files = found(tmp_path, model)
    assert files is not None and files.template is not None and files.template.render([]) == "b"


def test_of_a_hub_or_of_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, engine_model(tmp_path, {"model": "someone/model"})) is None
    assert found(tmp_path, config('backend: "python"')) is None
    (tmp_path / "m" / "1" / "model.json").write_text("[]")
    with pytest.raises(ApiError, match="model.json"):
        found(tmp_path, config('backend: "vllm"'))


def test_by_a_parameter(tmp_path: Path) -> None:
    folder(tmp_path / "m" / "words")
    files = found(tmp_path, config(PARAMETER.format("words")))
    assert files is not None and files.template is None
    with pytest.raises(ApiError, match="not there"):
        found(tmp_path, config(PARAMETER.format("none")))
    with pytest.raises(Exception, match="outside of the model directory"):
        found(tmp_path, config(PARAMETER.format("../other")))


def test_ids_that_are_a_text() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert text_of(tokenizer, [1, 2, 1], "prompt") == "a b a"
    assert encode(tokenizer, "a b", special=True) == [1, 2]
    for ids in ([3], [2**40], [1, 0, 3]):
        with pytest.raises(ApiError):
            text_of(tokenizer, ids, "prompt")


@pytest.mark.parametrize("special", [True, False])
def test_marks_of_calls_that_are_special_tokens_are_written(tmp_path: Path, special: bool) -> None:
    words = folder(tmp_path / "m" / "words", chat_template="{{ tools }}")
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("<tool_call>", special=special)])
    tokenizer.save(str(words / "tokenizer.json"))
    model = entry(config(PARAMETER.format("words") + LANGUAGE))
    prompts = ChatPrompts(TextModels(lambda name: read_model(tmp_path, name)))
    said = read_messages([{"role": "user", "content": "hi"}])
    for tools, kept in ((Tools(({"name": "f"},), "marked"), special), (Tools(), False)):
        sampling = Sampling()
        text = asyncio.run(prompts.prompt(model, said, tools, sampling))
        assert text == str(list(tools.shown) or None)
        assert sampling.values == {"add_special_tokens": False} | (
            {"skip_special_tokens": False} if kept else {}
        )
