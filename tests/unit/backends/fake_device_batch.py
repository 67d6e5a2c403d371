"""A DeviceBatchView on the CPU: its tensors are not arrays, as those of a GPU are not."""

from __future__ import annotations

from typing import Any

import numpy as np
from fake_batch import FakeBatch

Array = np.ndarray[Any, Any]


class FakeGpuTensor:
    """Memory of the "GPU", by DLPack."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape = array.shape

    def __dlpack__(self, **_: Any) -> Any:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class FakeDeviceBatch:
    """``inputs``: (datatype, array) by name."""

    def __init__(
        self, inputs: dict[str, tuple[str, Array]], wanted: list[str], *, num_rows: int = 1, slot: int = 0
    ) -> None:
        self._host = FakeBatch(inputs, wanted, num_rows=num_rows, writable=True)
        self.num_rows = num_rows
        self.wanted_outputs = wanted
        self.slot = slot
        self.outputs = self._host.outputs

    def inputs(self) -> list[tuple[str, str, Any]]:
        return [
            (name, datatype, array if datatype == "BYTES" else FakeGpuTensor(array))
            for name, datatype, array in self._host.inputs()
        ]

    def output(self, name: str, datatype: str, array: Array) -> None:
        self._host.output(name, datatype, array)

    def place(self, name: str, datatype: str, shape: Any) -> FakeGpuTensor:
        return FakeGpuTensor(self._host.place(name, datatype, shape))
