"""A BatchView that remembers what it was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from naiad.errors import InvalidArgument


class FakeBatch:
    """``inputs``: (datatype, array) by name. Arrays are read-only, as those of one request alone are."""

    def __init__(
        self,
        inputs: dict[str, tuple[str, np.ndarray[Any, Any]]],
        wanted: list[str],
        *,
        num_rows: int = 1,
        writable: bool = False,
    ) -> None:
        self._inputs = [(name, datatype, array) for name, (datatype, array) in inputs.items()]
        for _, _, array in self._inputs:
            array.flags.writeable = writable
        self.wanted_outputs = wanted
        self.num_rows = num_rows
        self.num_requests = 1
        self.cancelled = False
        self.instance = 0
        self.outputs: dict[str, np.ndarray[Any, Any]] = {}

    def inputs(self) -> list[tuple[str, str, Any]]:
        return self._inputs

    def output(self, name: str, datatype: str, array: Any) -> None:
        self.outputs[name] = array

    def place(self, name: str, datatype: str, shape: Any) -> Any:
        if datatype == "BYTES":
            raise InvalidArgument("no place")
        kinds = {"FP": "f", "INT": "i", "UINT": "u"}
        dtype = {"BOOL": "?", "BF16": "u2"}.get(datatype)
        if dtype is None:
            kind = datatype.rstrip("0123456789")
            dtype = f"{kinds[kind]}{int(datatype[len(kind) :]) // 8}"
        self.outputs[name] = np.empty(tuple(shape), dtype)
        return self.outputs[name]
