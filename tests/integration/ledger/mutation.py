"""Requests that were right and have been damaged: bytes changed, left out, repeated, numbers replaced by
those at which sums wrap, pieces of kept fuzz inputs put in."""

from __future__ import annotations

import random
import re
from pathlib import Path

_CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
_NUMBER = re.compile(rb"\d+")
_EXTREMES = [
    b"0", b"-1", b"1e400", b"NaN", b"2147483648", b"4294967295", b"9223372036854775807",
    b"18446744073709551616", b"0x10", b"1.5", b"", b'"x"', b"null", b"[]", b"{}",
]  # fmt: skip


class Mutator:
    """Damaged copies of ``seeds`` and of the kept fuzz inputs of one target."""

    def __init__(self, seeds: list[bytes], target: str, draw: random.Random) -> None:
        kept = sorted((_CORPUS / target).iterdir())
        self._seeds = seeds
        self._kept = [path.read_bytes() for path in kept]
        self._draw = draw

    def next(self) -> bytes:
        draw = self._draw
        if draw.random() < 0.1:
            return draw.choice(self._kept)
        content = bytearray(draw.choice(self._seeds))
        for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
            self._damage(content)
        return bytes(content)

    def _damage(self, content: bytearray) -> None:
        draw = self._draw
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice((1, 1, 2, 8, 64)))
        match draw.randrange(7):
            case 0 if content:
                content[min(at, len(content) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                del content[at:end]
            case 2:
                content[at:at] = content[at:end]
            case 3:
                content[at:end] = draw.randbytes(end - at)
            case 4:
                del content[at:]
            case 5:
                piece = draw.choice(self._kept)
                begin = draw.randrange(len(piece) + 1)
                content[at:end] = piece[begin : begin + 64]
            case _:
                numbers = list(_NUMBER.finditer(content))
                if numbers:
                    chosen = draw.choice(numbers)
                    content[chosen.start() : chosen.end()] = draw.choice(_EXTREMES)
