"""Content codings."""

from __future__ import annotations

import gzip
import zlib

import pytest

from naiad.errors import InvalidArgument, Unsupported
from naiad.http.coding import Coding, inflate, request_coding

PLAIN = bytes(range(256)) * 40


def packed(plain: bytes, coding: Coding) -> bytes:
    return gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_goes_in_comes_out(coding: Coding) -> None:
    assert inflate(packed(PLAIN, coding), coding, len(PLAIN)) == PLAIN


def test_gzip_members_follow_one_another() -> None:
    assert inflate(gzip.compress(PLAIN[:10]) + gzip.compress(PLAIN[10:]), "gzip", len(PLAIN)) == PLAIN


def test_one_byte_too_much_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=f"maximum allowed input size of {len(PLAIN) - 1} bytes"):
        inflate(gzip.compress(PLAIN), "gzip", len(PLAIN) - 1)


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = zlib.compress(bytes(64 << 20))
    with pytest.raises(InvalidArgument, match="more than 100 times"):
        inflate(bomb, "deflate", 1 << 30)


def test_a_small_tensor_of_zeros_is_no_bomb() -> None:
    assert inflate(zlib.compress(bytes(4 << 20)), "deflate", 64 << 20) == bytes(4 << 20)


@pytest.mark.parametrize("cut", [0, 1, 5, 17, -1])
def test_cut_off_data_is_refused(cut: int) -> None:
    with pytest.raises(InvalidArgument, match="cut off"):
        inflate(gzip.compress(PLAIN)[:cut], "gzip", 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_compressed_is_refused(coding: Coding) -> None:
    with pytest.raises(InvalidArgument, match=coding):
        inflate(b'{"inputs":[]}', coding, 1 << 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bytes_behind_the_end_are_refused(coding: Coding) -> None:
    with pytest.raises(InvalidArgument):
        inflate(packed(PLAIN, coding) + b"more", coding, 1 << 20)


def test_request_coding() -> None:
    assert request_coding(None) is None
    assert request_coding("identity") is None
    assert request_coding("GZIP") == "gzip"
    assert request_coding(" deflate ") == "deflate"
    for other in ("br", "gzip, gzip", "zstd", "gzip, deflate"):
        with pytest.raises(Unsupported, match="Unsupported compression type"):
            request_coding(other)
