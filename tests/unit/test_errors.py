"""The error tree: codes, texts, and which error is which."""

from __future__ import annotations

import copy

import pytest

from naiad import errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", errors.InvalidArgument),
        ("NOT_FOUND", errors.NotFound),
        ("ALREADY_EXISTS", errors.AlreadyExists),
        ("UNAVAILABLE", errors.Unavailable),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("UNSUPPORTED", errors.Unsupported),
        ("CANCELLED", errors.Cancelled),
        ("INTERNAL", errors.Internal),
        ("UNKNOWN", errors.Unknown),
    ],
)
def test_a_code_of_the_core_makes_its_class(code: str, kind: type[errors.NaiadError]) -> None:
    error = errors.from_code(code, "what happened")
    assert type(error) is kind
    assert (error.code, str(error), error.message) == (code, "what happened", "what happened")


def test_a_code_outside_the_tree_is_a_fault_of_the_server() -> None:
    error = errors.from_code("NO_SUCH", "text")
    assert type(error) is errors.Internal
    assert "text" in str(error) and "NO_SUCH" in str(error)


def test_the_tree_is_the_one_drawn() -> None:
    for kind, base in [
        (errors.ConfigError, errors.InvalidArgument),
        (errors.QueueFull, errors.Unavailable),
        (errors.NotReady, errors.Unavailable),
        (errors.Stopping, errors.Unavailable),
        (errors.BackendError, errors.Internal),
    ]:
        assert kind.__bases__ == (base,)
        assert kind("x").code == base("x").code


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "bad"),
        ({"file": "m/config.pbtxt"}, "m/config.pbtxt: bad"),
        ({"file": "m/config.pbtxt", "line": 3, "column": 9}, "m/config.pbtxt:3:9: bad"),
        ({"line": 3}, "3: bad"),
        ({"field": "max_batch_size"}, "bad"),
    ],
)
def test_config_error_tells_its_place(given: dict[str, object], text: str) -> None:
    error = errors.ConfigError("bad", **given)  # type: ignore[arg-type]
    assert str(error) == text
    assert error.code == "INVALID_ARGUMENT"
    again = copy.copy(error)
    assert (str(again), again.reason, again.field) == (text, "bad", error.field)


def test_config_error_takes_a_file_later() -> None:
    error = errors.ConfigError("bad", line=1, column=2, field="f").in_file("m/config.pbtxt")
    assert (str(error), error.field) == ("m/config.pbtxt:1:2: bad", "f")
