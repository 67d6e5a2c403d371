"""What ``torch.cuda`` does for an instance, on the CPU: every call is noted in its order. Imported only where
torch is installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class FakeStream:
    def __init__(self, name: str) -> None:
        self.name = name


class FakeEvent:
    def __init__(self, cuda: FakeCuda, *, blocking: bool) -> None:
        self._cuda = cuda
        self.blocking = blocking

    def record(self, stream: FakeStream) -> None:
        self._cuda.note(f"record on {stream.name}")

    def synchronize(self) -> None:
        self._cuda.note("wait")
        if self._cuda.fails_with is not None:
            raise self._cuda.fails_with


class Tape(TorchDispatchMode):
    """The operators that ran, to be run again into the tensors that they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.runs.append((func, args, kwargs or {}, result))
        return result


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.tape = Tape()

    def replay(self) -> None:
        self._cuda.note("replay")
        for func, args, kwargs, result in self.tape.runs:
            torch.ops.aten.copy_.default(
                result, func(*args, **kwargs)
            )  # not one of the copies that are noted


class FakeCuda:
    """The members of ``torch.cuda`` that the backend uses."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.events: list[FakeEvent] = []
        self.fails_with: Exception | None = None
        self.capture_fails: Exception | None = None
        self.ends = contextlib.ExitStack()
        """Of what a test makes: the modes of a thread end in their order."""

    def note(self, what: str) -> None:
        self.log.append(what)

    def Stream(self, device: torch.device, priority: int = 0) -> FakeStream:
        self.note(f"make stream of priority {priority}")
        return FakeStream("own")

    def ExternalStream(self, number: int, device: torch.device) -> FakeStream:
        return FakeStream(f"stream {number}")

    def Event(self, *, blocking: bool) -> FakeEvent:
        self.events.append(FakeEvent(self, blocking=blocking))
        return self.events[-1]

    def CUDAGraph(self) -> FakeGraph:
        return FakeGraph(self)

    def empty_cache(self) -> None:
        self.note("empty cache")

    def graph_pool_handle(self) -> str:
        self.note("make pool")
        return "pool"

    @contextlib.contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.note(f"enter {stream.name}")
        yield
        self.note(f"leave {stream.name}")

    @contextlib.contextmanager
    def graph(
        self, graph: FakeGraph, *, pool: str, stream: FakeStream, capture_error_mode: str
    ) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.note(f"capture on {stream.name} in {pool}")
        with graph.tape:
            yield
        if self.capture_fails is not None:
            raise self.capture_fails


class HostMemory(TorchFunctionMode):
    """Pinned memory where there is no GPU to pin it for; copies are noted, those of 0 to 4 dimensions and of
    parts of tensors alike.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.pin_memory:
            self._note("stage")
            return args[0].clone()
        if kwargs.pop("pin_memory", False):
            self._note("make pinned")
        if func is torch.Tensor.copy_:
            how = "copy" if kwargs.get("non_blocking") else "copy at once"
            self._note(f"{how} {args[0].numel() * args[0].element_size()} bytes")
        return func(*args, **kwargs)
