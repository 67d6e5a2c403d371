"""Fields of requests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from naiad.openai.errors import ApiError
from naiad.openai.fields import Fields


def refusal(read: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read()
    assert caught.value.status == 400
    return caught.value


def test_what_nobody_took_is_refused() -> None:
    fields = Fields({"a": 1, "b": None, "c": 2}, "place")
    assert fields.integer("a") == 1
    error = refusal(fields.finish)
    assert (error.param, error.code) == ("place.c", "unknown_parameter")
    fields.ignore("c")
    fields.finish()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, lambda fields: fields.integer("x")),
        ("1", lambda fields: fields.integer("x")),
        (1.5, lambda fields: fields.integer("x")),
        (0, lambda fields: fields.integer("x", 1)),
        (3, lambda fields: fields.integer("x", 1, 2)),
        (math.nan, lambda fields: fields.number("x", 0, 2)),
        (math.nan, lambda fields: fields.number("x", 0)),
        ("a", lambda fields: fields.boolean("x")),
        (1, lambda fields: fields.boolean("x")),
        ({}, lambda fields: fields.items("x")),
        ([], lambda fields: fields.object("x")),
        ("b", lambda fields: fields.choice("x", ("a",))),
        (1, lambda fields: fields.only("x", True)),
        (False, lambda fields: fields.refuse("x")),
    ],
)
def test_values_that_can_t_be(value: Any, read: Callable[[Fields], object]) -> None:
    assert refusal(lambda: read(Fields({"x": value}))).param == "x"


def test_what_is_missing() -> None:
    assert refusal(lambda: Fields({"x": None}).required("x")).code == "missing_required_parameter"
    assert Fields({}).boolean("x", True) is True
    assert Fields({}).string("x") is None
