"""One GPU, by CUDA's runtime through cuda-bindings: ``contracts.Cuda``. Nothing is decided here."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import runtime
from numpy.typing import NDArray

from naiad.backends.tensorrt.failures import CudaError


def call(name: str, *arguments: Any) -> Any:
    """What the function of that name gives, without its status. Raises CudaError."""
    status, *results = getattr(runtime, name)(*arguments)
    if status != runtime.cudaError_t.cudaSuccess:
        raise CudaError(name, status.name, _text_of(status))
    if not results:
        return None
    return results[0] if len(results) == 1 else tuple(results)


def _text_of(status: Any) -> str:
    _, text = runtime.cudaGetErrorString(status)
    return text.decode() if isinstance(text, bytes) else str(text)


def num_devices() -> int:
    """The GPUs that this process could use. Raises CudaError where there is no driver."""
    return int(call("cudaGetDeviceCount"))


class CudaDevice:
    """See ``contracts.Cuda``. Streams, events and graphs are numbers."""

    def __init__(self, device: int) -> None:
        self._device = device

    def make_current(self) -> None:
        call("cudaSetDevice", self._device)
        call("cudaFree", 0)  # makes the context now: who has no GPU is told so here

    def compute_capability(self) -> str:
        attributes = runtime.cudaDeviceAttr
        numbers = (
            call("cudaDeviceGetAttribute", attribute, self._device)
            for attribute in (
                attributes.cudaDevAttrComputeCapabilityMajor,
                attributes.cudaDevAttrComputeCapabilityMinor,
            )
        )
        return ".".join(str(number) for number in numbers)

    def make_stream(self, priority: int) -> int:
        lowest, highest = call("cudaDeviceGetStreamPriorityRange")
        wanted = {1: highest, -1: lowest}.get(priority, 0)
        return int(call("cudaStreamCreateWithPriority", runtime.cudaStreamNonBlocking, wanted))

    def make_event(self, *, busy_wait: bool) -> int:
        blocking = 0 if busy_wait else runtime.cudaEventBlockingSync
        return int(call("cudaEventCreateWithFlags", runtime.cudaEventDisableTiming | blocking))

    def wait(self, event: int, stream: int) -> None:
        call("cudaEventRecord", event, stream)
        call("cudaEventSynchronize", event)

    def allocate(self, size_bytes: int) -> int:
        return int(call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        call("cudaFree", address)

    def allocate_pinned(self, size_bytes: int) -> int:
        return int(call("cudaHostAlloc", size_bytes, runtime.cudaHostAllocDefault))

    def free_pinned(self, address: int) -> None:
        call("cudaFreeHost", address)

    def host_view(self, address: int, size_bytes: int) -> NDArray[Any]:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        call("cudaMemcpyAsync", to, source, size_bytes, runtime.cudaMemcpyKind.cudaMemcpyDefault, stream)

    def capture(self, stream: int, record: Callable[[], bool]) -> int:
        # Other threads of this process may use CUDA meanwhile.
        call("cudaStreamBeginCapture", stream, runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            recorded = record()
        except BaseException:
            with contextlib.suppress(CudaError):
                call("cudaStreamEndCapture", stream)
            raise
        graph = call("cudaStreamEndCapture", stream)
        try:
            return int(call("cudaGraphInstantiate", graph, 0)) if recorded else 0
        finally:
            call("cudaGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        call("cudaGraphExecDestroy", graph)

    def destroy_event(self, event: int) -> None:
        call("cudaEventDestroy", event)

    def destroy_stream(self, stream: int) -> None:
        call("cudaStreamDestroy", stream)
