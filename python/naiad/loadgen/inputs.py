"""Made-up inputs for a model: by its metadata, or by a file in perf_analyzer's form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.backends.python.datatypes import NUMPY_TYPES
from naiad.config import ModelConfig
from naiad.errors import InvalidArgument

_LARGEST_VALUES = 1 << 28


@dataclass(frozen=True)
class InputSpec:
    """What a model takes."""

    name: str
    datatype: str
    """As on the wire."""
    dims: tuple[int, ...]
    """Without the batch dimension; -1 is any size."""
    optional: bool = False


@dataclass(frozen=True)
class Place:
    """Of a tensor, in a region of shared memory that the server knows by its name."""

    region: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class InputTensor:
    """One input of a request."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """With the batch dimension, where the model batches."""
    data: bytes
    """As on the wire: of BYTES each element behind its length."""
    place: Place | None = None
    """Where ``data`` lies for the server; None: it goes with the request."""


def specs_of(config: ModelConfig) -> list[InputSpec]:
    """What a request to a model brings."""
    return [InputSpec(tensor.name, tensor.datatype, tensor.dims, tensor.optional) for tensor in config.inputs]


def read_shapes(entries: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME:3,224,224``, without the batch dimension. Raises InvalidArgument."""
    shapes = {}
    for entry in entries:
        name, _, dims = entry.rpartition(":")
        if not name or not all(dim.isdecimal() for dim in dims.split(",")):
            raise InvalidArgument(f"--shape '{entry}' should be NAME:3,224,224")
        shapes[name] = tuple(map(int, dims.split(",")))
    return shapes


def made_up(
    specs: Sequence[InputSpec], shapes: Mapping[str, tuple[int, ...]], batch: int, *, zeros: bool, seed: int
) -> list[InputTensor]:
    """Random values, or zeros; ``batch`` 0: of a model that does not batch. Raises InvalidArgument."""
    chance = np.random.default_rng(seed)
    known = {spec.name for spec in specs}
    for name in shapes:
        if name not in known:
            raise InvalidArgument(
                f"--shape: the model has no input '{name}'; it has {', '.join(sorted(known))}"
            )
    tensors = []
    for spec in specs:
        if spec.optional and spec.name not in shapes:
            continue
        dims = shapes.get(spec.name, spec.dims)
        if len(dims) != len(spec.dims) or any(b not in (a, -1) for a, b in zip(dims, spec.dims, strict=True)):
            raise InvalidArgument(
                f"--shape {spec.name}:{_shown(dims)} does not fit the model's {_shown(spec.dims)}"
            )
        if -1 in dims:
            raise InvalidArgument(
                f"input '{spec.name}' has dims {_shown(dims)}, of which -1 is any size: give "
                f"--shape {spec.name}:{_shown(tuple(16 if dim == -1 else dim for dim in dims))}"
            )
        shape = (batch, *dims) if batch else dims
        if int(np.prod(shape)) > _LARGEST_VALUES:
            raise InvalidArgument(f"input '{spec.name}' of shape {list(shape)} is too large")
        tensors.append(
            InputTensor(spec.name, spec.datatype, shape, _values(spec.datatype, shape, chance, zeros))
        )
    return tensors


def from_file(path: Path, specs: Sequence[InputSpec], batch: int) -> list[list[InputTensor]]:
    """Requests of a file ``{"data": [{"INPUT0": [1, 2], "INPUT1": {"content": [...], "shape": [2]}}]}``:
    values of one row, which stands in each row of a batch. Raises InvalidArgument.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"--input-data '{path}' can not be read: {error}") from None
    rows = tree.get("data") if isinstance(tree, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidArgument(f'--input-data \'{path}\' should be {{"data": [{{"INPUT": [...]}}, ...]}}')
    by_name = {spec.name: spec for spec in specs}
    requests = []
    for index, row in enumerate(rows):
        place = f"--input-data '{path}': data[{index}]"
        for name in row.keys() - by_name.keys():
            raise InvalidArgument(f"{place}: the model has no input '{name}'")
        for spec in specs:
            if spec.name not in row and not spec.optional:
                raise InvalidArgument(f"{place}: input '{spec.name}' is missing")
        requests.append([_of_row(by_name[name], value, batch, place) for name, value in row.items()])
    return requests


def values_of(tensor: InputTensor) -> list[Any]:
    """Its elements as JSON has them. Bytes that are no text become U+FFFD."""
    if tensor.datatype == "BYTES":
        words, rest = [], tensor.data
        while rest:
            end = 4 + int.from_bytes(rest[:4], "little")
            words.append(rest[4:end].decode(errors="replace"))
            rest = rest[end:]
        return words
    if tensor.datatype == "BF16":
        wide = np.frombuffer(tensor.data, "<u2").astype("<u4") << 16
        return list(wide.view("<f4").tolist())
    return list(np.frombuffer(tensor.data, _dtype(tensor.datatype)).tolist())


def _of_row(spec: InputSpec, value: Any, batch: int, place: str) -> InputTensor:
    content, shape = (value.get("content"), value.get("shape")) if isinstance(value, dict) else (value, None)
    dims = tuple(spec.dims if shape is None else shape)
    try:
        if spec.datatype == "BYTES":
            flat = _objects([str(one).encode() for one in np.ravel(np.array(content, dtype=object))])
        else:
            flat = np.ravel(np.array(content)).astype(_dtype(spec.datatype))
        if -1 in dims:
            dims = (flat.size,) if len(dims) == 1 else tuple(np.array(content).shape)
        row = flat.reshape(dims)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{place}: input '{spec.name}': {error}") from None
    array = np.stack([row] * batch) if batch else row
    return InputTensor(spec.name, spec.datatype, array.shape, _wire(spec.datatype, array))


def _values(datatype: str, shape: tuple[int, ...], chance: np.random.Generator, zeros: bool) -> bytes:
    count = int(np.prod(shape))
    if datatype == "BYTES":
        words = [b"" if zeros else f"w{int(chance.integers(1 << 32)):08x}".encode() for _ in range(count)]
        return _wire(datatype, _objects(words))
    if zeros:
        return _wire(datatype, np.zeros(count, _dtype(datatype)))
    if datatype == "BF16":
        return bytes((chance.random(count, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes())
    if datatype.startswith("FP"):
        return _wire(datatype, chance.random(count).astype(_dtype(datatype)))
    # Indices into tables are to stay small.
    return _wire(datatype, chance.integers(0, 2, count).astype(_dtype(datatype)))


def _objects(words: list[bytes]) -> NDArray[Any]:
    array: NDArray[Any] = np.empty(len(words), np.object_)
    array[:] = words
    return array


def _dtype(datatype: str) -> np.dtype[Any]:
    return np.dtype("<u2") if datatype == "BF16" else np.dtype(NUMPY_TYPES[datatype])


def _wire(datatype: str, array: NDArray[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(one).to_bytes(4, "little") + one for one in array.ravel())
    return np.ascontiguousarray(array).tobytes()


def _shown(dims: Sequence[int]) -> str:
    return ",".join(map(str, dims))
