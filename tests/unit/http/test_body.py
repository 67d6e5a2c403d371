"""Bodies of control requests, within their bound."""

from __future__ import annotations

import asyncio
import gzip
from types import SimpleNamespace
from typing import Any

import pytest

from naiad.errors import InvalidArgument
from naiad.http.body import plain_body, read_body


class Content:
    """A body that arrives in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def readany(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def read(*pieces: bytes, declared: int | None, limit: int) -> bytes:
    request: Any = SimpleNamespace(content_length=declared, content=Content(*pieces))
    return asyncio.run(read_body(request, limit))


def test_a_body_is_read_whole() -> None:
    assert read(b"abc", declared=3, limit=3) == b"abc"
    assert read(b"a", b"bc", declared=3, limit=3) == b"abc"
    assert read(b"a", b"bc", declared=None, limit=3) == b"abc"
    assert read(declared=None, limit=3) == b""


@pytest.mark.parametrize(("pieces", "declared"), [((), 4), ((b"ab", b"cd"), None)])
def test_too_much_is_refused(pieces: tuple[bytes, ...], declared: int | None) -> None:
    with pytest.raises(InvalidArgument, match="size of 4 bytes exceeds the maximum allowed input size of 3"):
        read(*pieces, declared=declared, limit=3)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_coding_is_undone(size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    assert asyncio.run(plain_body(gzip.compress(plain), "gzip", len(plain))) == plain
    assert asyncio.run(plain_body(plain, None, 1)) == plain
