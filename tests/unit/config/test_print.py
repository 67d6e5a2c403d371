"""Printing: pbtxt that reads back to the same message, and JSON as Triton answers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad import protos
from naiad.config import (
    complete_backend,
    complete_defaults,
    from_dict,
    parse_json,
    parse_pbtxt,
    to_json,
    to_pbtxt,
)

# GET /v2/models/{m}/config of Triton 2.51 (CPU) for these texts, each in a directory with 1/model.py. Changed
# by hand: the dims of an initial state are numbers, and max_inflight_requests, which is newer, is there.
ANSWERS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "triton_answers.json").read_text())


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_completed_and_printed_like_triton(name: str) -> None:
    message = parse_pbtxt(ANSWERS[name]["pbtxt"])
    complete_backend(message, model_name=name, filenames=["model.py"])
    complete_defaults(message)
    assert to_json(message) == ANSWERS[name]["config"]
    # Once more: numbers are numbers, not strings or floats that compare equal.
    assert json.dumps(to_json(message), sort_keys=True) == json.dumps(ANSWERS[name]["config"], sort_keys=True)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_tritons_answer_reads_back(name: str) -> None:
    message = from_dict(ANSWERS[name]["config"])
    assert to_json(message) == ANSWERS[name]["config"]
    assert parse_pbtxt(to_pbtxt(message)) == message


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.0, "1"), (1.1, "1.1"), (0.1, "0.1"), (16777216.0, "16777216")]
)
def test_float32_has_the_shortest_digits(value: float, text: str) -> None:
    message = protos.ModelConfig()
    message.sequence_batching.control_input.add().control.add().fp32_false_true.append(value)
    (control,) = to_json(message)["sequence_batching"]["control_input"][0]["control"]
    assert json.dumps(control["fp32_false_true"]) == f"[{text}]"


def test_values_which_json_cannot_spell() -> None:
    message = protos.ModelConfig()
    message.sequence_batching.control_input.add().control.add().fp32_false_true.extend(
        [float("nan"), float("inf"), float("-inf"), 3.4028234663852886e38]
    )
    printed = to_json(message)["sequence_batching"]["control_input"][0]["control"][0]["fp32_false_true"]
    assert printed[:3] == ["NaN", "Infinity", "-Infinity"]
    again = from_dict(to_json(message)).sequence_batching.control_input[0].control[0].fp32_false_true
    assert again[0] != again[0]
    assert list(again[1:]) == [float("inf"), float("-inf"), 3.4028234663852886e38]


def test_an_enum_number_of_a_newer_schema_is_kept() -> None:
    message = protos.ModelConfig()
    message.input.add(name="x", data_type=99)
    assert to_json(message)["input"][0]["data_type"] == 99
    assert from_dict(to_json(message)) == message
    assert parse_pbtxt(to_pbtxt(message)) == message


SCALARS = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "bool": st.booleans(),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(st.characters(codec="utf-8"), max_size=8),
}


def scalar(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    names = {
        field.TYPE_INT32: "int32",
        field.TYPE_INT64: "int64",
        field.TYPE_UINT32: "uint32",
        field.TYPE_UINT64: "uint64",
        field.TYPE_BOOL: "bool",
        field.TYPE_FLOAT: "float",
        field.TYPE_DOUBLE: "double",
        field.TYPE_STRING: "string",
    }
    return SCALARS[names[field.type]]


def fill(draw: st.DrawFn, message: Any) -> None:
    """Sets a random choice of the fields, of every kind that the schema has."""
    fields = list(message.DESCRIPTOR.fields)
    for field in (
        draw(st.lists(st.sampled_from(fields), unique_by=lambda f: f.name, max_size=6)) if fields else ()
    ):
        target = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            for drawn in draw(st.sets(scalar(key), max_size=2)):
                if value.message_type is not None:
                    fill(draw, target[drawn])
                else:
                    target[drawn] = draw(scalar(value))
        elif field.is_repeated and field.message_type is not None:
            for _ in range(draw(st.integers(0, 2))):
                fill(draw, target.add())
        elif field.is_repeated:
            target.extend(draw(st.lists(scalar(field), max_size=3)))
        elif field.message_type is not None:
            target.SetInParent()
            fill(draw, target)
        else:
            setattr(message, field.name, draw(scalar(field)))


@st.composite
def configs(draw: st.DrawFn) -> Any:
    message = protos.ModelConfig()
    fill(draw, message)
    return message


@settings(max_examples=150, deadline=None)
@given(configs())
def test_what_is_printed_reads_back_equal(message: Any) -> None:
    assert parse_pbtxt(to_pbtxt(message)) == message
    assert from_dict(to_json(message)) == message
    assert parse_json(json.dumps(to_json(message))) == message
