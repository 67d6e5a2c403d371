"""Statuses and error bodies."""

from __future__ import annotations

import json

import pytest

from naiad import errors
from naiad.grpc.errors import STATUS_OF_CODE as GRPC
from naiad.grpc.errors import status_of as grpc_status
from naiad.http.errors import STATUS_OF_CODE as HTTP
from naiad.http.errors import error_body, status_of


def kinds(kind: type[errors.NaiadError]) -> list[type[errors.NaiadError]]:
    """Those of the tree itself: rooms may have more of their own, which are one of these to the edges."""
    below = [kind, *(each for child in kind.__subclasses__() for each in kinds(child))]
    return [each for each in below if each.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", kinds(errors.NaiadError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_on_both_edges(kind: type[errors.NaiadError]) -> None:
    error = kind("words")
    assert 400 <= status_of(error) < 600
    assert grpc_status(error).name != "OK"


def test_tritons_table() -> None:
    assert HTTP["INVALID_ARGUMENT"] == 400 and HTTP["UNAVAILABLE"] == 503 and HTTP["UNSUPPORTED"] == 501
    assert GRPC["UNSUPPORTED"].name == "UNIMPLEMENTED"
    assert set(HTTP) == set(GRPC)


def test_words_are_quoted() -> None:
    assert json.loads(error_body('a "b"\n\x00')) == {"error": 'a "b"\n\x00'}
