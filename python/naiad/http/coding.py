"""Content codings of control requests: inflating within bounds."""

from __future__ import annotations

import zlib
from typing import Literal

from naiad.errors import InvalidArgument, Unsupported

Coding = Literal["gzip", "deflate"]

ACCEPTED = "gzip, deflate"
"""What a refused request is told to use."""

_WINDOW_BITS: dict[Coding, int] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_MAX_RATIO = 100
# Below this much output the ratio is not looked at: a tensor of zeros rightly shrinks by more than a hundred.
_RATIO_FREE_BYTES = 8 << 20
_STEP_BYTES = 1 << 20


def request_coding(header: str | None) -> Coding | None:
    """The coding that ``Content-Encoding`` names, None for identity. Raises Unsupported for another one."""
    if header is None:
        return None
    name = header.strip().lower()
    if name in ("", "identity"):
        return None
    if name == "gzip":
        return "gzip"
    if name == "deflate":
        return "deflate"
    raise Unsupported("Unsupported compression type")


def inflate(body: bytes, coding: Coding, max_bytes: int) -> bytes:
    """The plain body. Never holds more than ``max_bytes`` of output, however little input promises more.

    Raises InvalidArgument when the input is not valid or cut off, or its output too large.
    """
    pieces: list[bytes] = []
    total = 0
    rest = body
    while True:
        stream = zlib.decompressobj(_WINDOW_BITS[coding])
        while not stream.eof:
            try:
                piece = stream.decompress(rest, min(_STEP_BYTES, max_bytes - total + 1))
            except zlib.error as error:
                raise InvalidArgument(f"request body is not valid {coding} data") from error
            rest = stream.unconsumed_tail
            total += len(piece)
            if total > max_bytes:
                raise InvalidArgument(
                    f"inflated request body exceeds the maximum allowed input size of {max_bytes} bytes."
                    " Use --http-max-input-size to increase the limit."
                )
            if total > _RATIO_FREE_BYTES and total > _MAX_RATIO * len(body):
                raise InvalidArgument(
                    f"request body of {len(body)} bytes inflates to more than {_MAX_RATIO} times its size"
                )
            if piece:
                pieces.append(piece)
            elif not stream.eof and not rest:
                raise InvalidArgument(f"request body is cut off: its {coding} data does not end")
        rest = stream.unused_data
        # RFC 1952 lets several gzip members follow one another; anything else behind the end is a lie.
        if not rest:
            return b"".join(pieces)
        if coding != "gzip":
            raise InvalidArgument(f"request body goes on after the end of its {coding} data")
