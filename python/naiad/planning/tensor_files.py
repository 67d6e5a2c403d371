"""Sizes of weights by the headers of their files; the weights themselves are not read."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from naiad.errors import InvalidArgument

_MOST_HEADER_BYTES = 100 << 20
_MOST_ITEMS = 1 << 22
_WIDTHS = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
}


@dataclass(frozen=True)
class TensorSize:
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    size_bytes: int
    is_float16: bool
    """Of 16 or 32 bits: what an engine can quantise when it loads it."""

    @property
    def count(self) -> int:
        """How many values."""
        return math.prod(self.shape)


def safetensors_sizes(path: Path) -> Iterator[TensorSize]:
    """Raises InvalidArgument for a file that is none."""
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > _MOST_HEADER_BYTES:
            raise InvalidArgument(f"'{path.name}' is no safetensors file")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise InvalidArgument(f"'{path.name}' is no safetensors file, or a part of one") from None
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            start, end = entry["data_offsets"]
            shape, dtype = tuple(map(int, entry["shape"])), str(entry["dtype"])
            yield TensorSize(name, shape, int(end) - int(start), _WIDTHS.get(dtype, 1) in (2, 4))
        except (KeyError, TypeError, ValueError):
            raise InvalidArgument(f"'{path.name}' is no safetensors file: tensor {name!r}") from None


@dataclass(frozen=True)
class GgufHead:
    """What a GGUF file says of its model."""

    size_bytes: int
    architecture: str
    values: dict[str, Any]
    """Numbers and texts of its metadata; lists are left out."""

    def number(self, key: str) -> int | None:
        """``<architecture>.<key>``."""
        value = self.values.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) else None


_GGUF_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


def gguf_head(path: Path) -> GgufHead:
    """Raises InvalidArgument for a file that is none."""
    values: dict[str, Any] = {}
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ValueError("magic")
            _version, _tensors, count = struct.unpack("<IQQ", _exactly(file, 20))
            if count > _MOST_ITEMS:
                raise ValueError("count")
            for _ in range(count):
                key = _text(file)
                (kind,) = struct.unpack("<I", _exactly(file, 4))
                value = _value(file, kind)
                if value is not None:
                    values[key] = value
    except (KeyError, ValueError, struct.error):
        raise InvalidArgument(f"'{path.name}' is no GGUF file, or a part of one") from None
    return GgufHead(path.stat().st_size, str(values.get("general.architecture", "")), values)


def _exactly(file: BinaryIO, count: int) -> bytes:
    if not 0 <= count <= _MOST_HEADER_BYTES:
        raise ValueError("length")
    read = file.read(count)
    if len(read) != count:
        raise ValueError("end of file")
    return read


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _exactly(file, 8))
    return _exactly(file, length).decode("utf-8", errors="replace")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        (inner, count) = struct.unpack("<IQ", _exactly(file, 12))
        if count > _MOST_ITEMS:
            raise ValueError("count")
        for _ in range(count):
            _value(file, inner)
        return None
    (value,) = struct.unpack(f"<{_GGUF_NUMBERS[kind]}", _exactly(file, struct.calcsize(_GGUF_NUMBERS[kind])))
    return value
