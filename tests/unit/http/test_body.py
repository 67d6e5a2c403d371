"""Inference-Header-Content-Length, read strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.errors import InvalidArgument
from naiad.http.body import header_length


def test_plain_numbers() -> None:
    assert header_length([], 10) is None
    assert header_length(["0"], 10) == 0
    assert header_length(["10"], 10) == 10
    assert header_length(["007"], 10) == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "0x5",
        "5,5",
        " 5",
        "5 ",
        "1.0",
        "abc",
        "٣",
        "2147483648",
        "9" * 19,
        "9" * 100000,
        "nan",
    ],
)
def test_numeric_oddities_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        header_length([text], 100)
    assert len(str(caught.value)) < 200


def test_sent_twice_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        header_length(["5", "5"], 100)


def test_beyond_the_body_in_tritons_words() -> None:
    with pytest.raises(
        InvalidArgument, match=r"inference header size should be in range \(0, 147\), got: 99999"
    ):
        header_length(["99999"], 147)


@given(st.text(), st.integers(0, 1 << 40))
def test_any_text_is_a_number_within_the_body_or_refused(text: str, size: int) -> None:
    try:
        length = header_length([text], size)
    except InvalidArgument:
        return
    assert length is not None and 0 <= length <= size and text.isascii() and int(text) == length
