"""A TensorRT and a CUDA that count: memory is numpy's, a run happens when the stream is waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from naiad.backends.tensorrt.contracts import EngineTensor, OutputPlace, Range, Shape
from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.tensors import SIZES

Arrays = dict[str, np.ndarray[Any, Any]]
DTYPES = {"FP32": "f4", "INT32": "i4", "INT64": "i8", "FP16": "f2", "BF16": "u2", "INT8": "i1", "BOOL": "?"}


class FakeCuda:
    """Addresses are those of numpy arrays. ``started`` is run, in order, by ``wait``."""

    def __init__(self, *, capability: str = "8.6") -> None:
        self.capability = capability
        self.blocks: dict[int, np.ndarray[Any, Any]] = {}
        self.pinned: set[int] = set()
        self.open: list[str] = []
        """Streams, events and graphs that are not destroyed yet."""
        self.calls: list[str] = []
        self.started: list[Callable[[], None]] = []
        self.fails: dict[str, CudaError] = {}
        """By method: what it raises."""
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.priority: int | None = None
        self.busy_wait: bool | None = None
        self._recording: list[Callable[[], None]] | None = None
        self._last = 100

    def make_current(self) -> None:
        self._call("make_current")

    def compute_capability(self) -> str:
        return self.capability

    def make_stream(self, priority: int) -> int:
        self.priority = priority
        return self._open("stream")

    def make_event(self, *, busy_wait: bool) -> int:
        self.busy_wait = busy_wait
        return self._open("event")

    def wait(self, event: int, stream: int) -> None:
        self._call("wait")
        started, self.started = self.started, []
        for run in started:
            run()

    def allocate(self, size_bytes: int) -> int:
        self._call("allocate")
        return self._block(size_bytes)

    def free(self, address: int) -> None:
        del self.blocks[address]

    def allocate_pinned(self, size_bytes: int) -> int:
        address = self._block(size_bytes)
        self.pinned.add(address)
        return address

    def free_pinned(self, address: int) -> None:
        self.pinned.remove(address)
        del self.blocks[address]

    def host_view(self, address: int, size_bytes: int) -> Any:
        assert address in self.pinned and self.blocks[address].size == size_bytes
        return self.blocks[address]

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        self._call("copy")
        self.start(lambda: copy_bytes(to, source, size_bytes))

    def capture(self, stream: int, record: Callable[[], bool]) -> int:
        self._call("capture")
        self._recording = []
        recorded = record()
        steps, self._recording = self._recording, None
        if not recorded:
            return 0
        number = self._open("graph")
        self.graphs[number] = steps
        return number

    def launch(self, graph: int, stream: int) -> None:
        self._call("launch")
        self.started += self.graphs[graph]

    def destroy_graph(self, graph: int) -> None:
        self.open.remove(f"graph {graph}")

    def destroy_event(self, event: int) -> None:
        self.open.remove(f"event {event}")

    def destroy_stream(self, stream: int) -> None:
        self.open.remove(f"stream {stream}")

    def start(self, step: Callable[[], None]) -> None:
        (self.started if self._recording is None else self._recording).append(step)

    def memory(self, address: int, dtype: str, shape: Shape) -> np.ndarray[Any, Any]:
        count = int(np.prod(shape, dtype=int))
        return self.blocks[address].view(dtype)[:count].reshape(shape)

    @property
    def is_empty(self) -> bool:
        """Whether all that was made is gone."""
        return not (self.blocks or self.open)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def _open(self, kind: str) -> int:
        self._last += 1
        self.open.append(f"{kind} {self._last}")
        return self._last

    def _block(self, size_bytes: int) -> int:
        block = np.full(size_bytes, 0xEE, np.uint8)
        address = int(block.__array_interface__["data"][0])
        self.blocks[address] = block
        return address


def copy_bytes(to: int, source: int, size_bytes: int) -> None:
    """Also between memory that no FakeCuda knows: that of requests."""
    import ctypes

    ctypes.memmove(to, source, size_bytes)


class FakeDeviceBatch:
    """A DeviceBatchView over the memory of a FakeCuda."""

    slot = 0

    def __init__(self, cuda: FakeCuda, inputs: Arrays, wanted: list[str]) -> None:
        self.cuda = cuda
        self.wanted_outputs = wanted
        self.num_rows = next(iter(inputs.values())).shape[0]
        self.placed: dict[str, SimpleNamespace] = {}
        self._inputs = [(name, "FP32", self._tensor(array.shape, array)) for name, array in inputs.items()]

    def inputs(self) -> list[tuple[str, str, Any]]:
        return self._inputs

    def place(self, name: str, datatype: str, shape: Shape) -> Any:
        self.placed[name] = self._tensor(shape, None)
        return self.placed[name]

    def result(self, name: str) -> np.ndarray[Any, Any]:
        """Once the stream has been waited for."""
        tensor = self.placed[name]
        return self.cuda.memory(tensor.address, "f4", tensor.shape)

    def _tensor(self, shape: Shape, array: np.ndarray[Any, Any] | None) -> SimpleNamespace:
        address = self.cuda._block(max(1, 4 * int(np.prod(shape, dtype=int))))
        if array is not None:
            self.cuda.memory(address, "f4", shape)[...] = array
        return SimpleNamespace(address=address, shape=shape)


class FakeEngine:
    """Runs ``compute``, from inputs to outputs by name; ``infer`` says the shapes of the outputs."""

    def __init__(
        self,
        cuda: FakeCuda,
        tensors: Sequence[EngineTensor],
        profiles: Sequence[Mapping[str, Range]],
        compute: Callable[[Arrays], Arrays],
        infer: Callable[[Mapping[str, Any]], Mapping[str, Shape]],
        *,
        values: Mapping[str, Range] | None = None,
    ) -> None:
        self.cuda = cuda
        self.tensors = tuple(tensors)
        self.num_profiles = len(profiles)
        self.profiles = profiles
        self.compute = compute
        self.infer = infer
        self.shape_values = dict(values or {})
        self.contexts: list[FakeContext] = []
        self.error = ""

    def shapes(self, name: str, profile: int) -> Range:
        return self.profiles[profile][name]

    def values(self, name: str, profile: int) -> Range | None:
        return self.shape_values.get(name)

    def make_context(self, allocation: str) -> FakeContext:
        self.contexts.append(FakeContext(self, allocation))
        return self.contexts[-1]

    def last_error(self) -> str:
        error, self.error = self.error, ""
        return error


class FakeContext:
    def __init__(self, engine: FakeEngine, allocation: str) -> None:
        self.engine = engine
        self.allocation = allocation
        self.profile = -1
        self.set: dict[str, Shape] = {}
        self.addresses: dict[str, int] = {}
        self.places: dict[str, OutputPlace] = {}
        self.inferred: Mapping[str, Shape] = {}
        self.runs = 0
        self.num_set_shape = 0
        self.refuses: set[str] = set()
        """Names of methods that say no."""

    def set_profile(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return "set_profile" not in self.refuses

    def set_shape(self, name: str, shape: Shape) -> bool:
        self.num_set_shape += 1
        allowed = self.engine.shapes(name, self.profile)
        if "set_shape" in self.refuses or len(shape) != len(allowed.most):
            return False
        self.set[name] = shape
        return True

    def set_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return "set_address" not in self.refuses

    def set_output_place(self, name: str, place: OutputPlace) -> bool:
        self.places[name] = place
        return True

    def insufficient(self) -> Sequence[str]:
        known: dict[str, Any] = dict(self.set)
        for tensor in self.engine.tensors:
            if tensor.is_input and tensor.is_shape_tensor:
                values = self._array(tensor, tensor.shape, self.addresses)
                known[tensor.name] = tuple(values.tolist())
        lacking = [t.name for t in self.engine.tensors if t.is_input and t.name not in known]
        if not lacking:
            self.inferred = self.engine.infer(known)
        return lacking

    def shape_of(self, name: str) -> Shape:
        return self.inferred[name]

    def most_bytes(self, name: str) -> int:
        shape = self.engine.infer(self.set)[name]
        if -1 in shape:
            return -1
        return SIZES[self._tensor(name).datatype] * int(np.prod(shape, dtype=int))

    def enqueue(self, stream: int) -> bool:
        if "enqueue" in self.refuses:
            return False
        shapes, addresses = dict(self.set), dict(self.addresses)
        self.runs += 1
        self.engine.cuda.start(lambda: self._compute(shapes, addresses))
        return True

    def _compute(self, shapes: Mapping[str, Shape], addresses: Mapping[str, int]) -> None:
        inputs = {}
        for tensor in self.engine.tensors:
            if tensor.is_input:
                shape = tensor.shape if tensor.is_shape_tensor else shapes[tensor.name]
                inputs[tensor.name] = self._array(tensor, shape, addresses)
        for name, result in self.engine.compute(inputs).items():
            address = addresses[name]
            if name in self.places:
                address = self.places[name].reserve(result.nbytes)
                self.places[name].settle(result.shape)
            block = self.engine.cuda.blocks[address]
            assert result.nbytes <= block.size, f"{name} writes beyond its memory"
            block[: result.nbytes] = np.frombuffer(result.tobytes(), np.uint8)

    def _array(
        self, tensor: EngineTensor, shape: Shape, addresses: Mapping[str, int]
    ) -> np.ndarray[Any, Any]:
        return self.engine.cuda.memory(addresses[tensor.name], DTYPES[tensor.datatype], shape)

    def _tensor(self, name: str) -> EngineTensor:
        return next(tensor for tensor in self.engine.tensors if tensor.name == name)
