"""config.pbtxt files as users write them, and the same files damaged: only typed errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from naiad.config import from_dict, ignored_hints, parse_json, parse_pbtxt, resolve, to_json, to_pbtxt
from naiad.errors import ConfigError, Unsupported

CORPUS = sorted((Path(__file__).parent / "corpus" / "config").glob("*.pbtxt"))
TEXTS = [path.read_text() for path in CORPUS]
TOKENS = [
    *(
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        ":",
        ",",
        ";",
        "#",
        "'",
        '"',
        "\\",
        "\n",
        "\0",
        "-",
        "\\377",
        "\\u0000",
        "é",
    ),
    *(
        "[a.b/c]: 1",
        "key: 1 value { }",
        "dims: -1",
        "dims: 9223372036854775808",
        "max_batch_size: -1",
        "count: 1e9",
    ),
    *(
        "nan",
        "-inf",
        "1.5",
        "0x",
        "0777",
        "TYPE_FP32",
        "KIND_GPU",
        "true",
        "input { }",
        "ensemble_scheduling { }",
    ),
]


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_what_users_write_parses_and_prints_back(path: Path) -> None:
    message = parse_pbtxt(path.read_bytes(), file=path.name)
    assert parse_pbtxt(to_pbtxt(message)) == message
    assert from_dict(to_json(message)) == message


def test_the_corpus_reaches_most_of_the_schema() -> None:
    used = {field.name for text in TEXTS for field, _ in parse_pbtxt(text).ListFields()}
    schema = {field.name for field in parse_pbtxt("").DESCRIPTOR.fields}
    assert used == schema


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A file of the corpus after a few cuts, copies and insertions."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        piece = draw(st.sampled_from(["", text[start:end] * 2, *TOKENS]) | st.text(max_size=4))
        text = text[:start] + piece + text[end:]
    return text


@settings(max_examples=400, deadline=None)
@example('name: "\ud800"')
@example("[type.googleapis.com/inference.ModelConfig] { }")
@given(damaged())
def test_a_damaged_text_is_read_or_refused(text: str) -> None:
    try:
        message = parse_pbtxt(text, file="m/config.pbtxt")
    except ConfigError as error:
        assert str(error).startswith("m/config.pbtxt:")
        return
    assert parse_pbtxt(to_pbtxt(message)).SerializeToString() is not None
    json.dumps(to_json(message), allow_nan=False)
    ignored_hints(message)
    try:
        config = resolve(
            message, model_name=message.name or "m", filenames=["model.onnx"], complete=lambda name: None
        )
    except (ConfigError, Unsupported):
        return
    assert config.is_ensemble or (config.backend and config.num_instances >= 1)
    assert all(tensor.dims for tensor in (*config.inputs, *config.outputs))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | st.sampled_from(TEXTS).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_pbtxt, parse_json):
        try:
            parse(data)
        except ConfigError:
            continue


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(TOKENS)
)
NAMES = st.sampled_from(
    [field.name for field in parse_pbtxt("").DESCRIPTOR.fields] + ["dims", "key", "kind", "name"]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_any_json_tree_is_read_or_refused(tree: dict[str, object]) -> None:
    try:
        message = from_dict(tree)
    except ConfigError:
        return
    assert from_dict(to_json(message)).SerializeToString() is not None
