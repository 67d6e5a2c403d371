"""A GPU for one instance: its stream, copies to and from it, and the one event that its thread waits for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from naiad.backends.gpu_options import GpuOptions
from naiad.backends.torch.pinned import PinnedArenas

PRIORITIES = {1: -100, 0: 0, -1: 0}
"""By ``GpuOptions.stream_priority``. Less is more urgent, and torch takes the nearest that there is; CUDA has
none below the usual one."""


class DeviceRun:
    """The thread of the instance. All but ``wait`` queue work and return.

    Errors are those of torch: RuntimeError, whose text is CUDA's.
    """

    def __init__(
        self,
        device: torch.device,
        options: GpuOptions,
        *,
        cuda: Any = torch.cuda,
        stream: int = 0,
        pinned: PinnedArenas | None = None,
        free_workspaces: Callable[[], object] | None = None,
    ) -> None:
        """``cuda``: ``torch.cuda``, or a stand-in. ``stream``: one that somebody else has made (a
        ``cudaStream_t``), which is used then; 0: there is none. ``pinned``: what the instance shares with its
        server, in a worker. ``free_workspaces``: that of torch, or a stand-in.
        """
        self.device = device
        self._options = options
        self._cuda = cuda
        self._pinned = pinned
        torchs: Callable[[], object] = getattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None)
        self._free_workspaces = free_workspaces or torchs
        if stream:
            self._stream = cuda.ExternalStream(stream, device=device)
        else:
            self._stream = cuda.Stream(device, priority=PRIORITIES[options.stream_priority])
        # Who does not spin sleeps.
        self._event = cuda.Event(blocking=not options.busy_wait)
        self._landing: list[tuple[torch.Tensor, torch.Tensor]] = []

    @property
    def stream(self) -> Any:
        """A ``torch.cuda.Stream``."""
        return self._stream

    def entered(self) -> AbstractContextManager[Any]:
        """Within it, its stream and device are those of the thread."""
        context: AbstractContextManager[Any] = self._cuda.stream(self._stream)
        return context

    def upload(self, view: torch.Tensor, into: torch.Tensor | None = None) -> torch.Tensor:
        """Starts to copy memory of the host, which must stay until ``wait``, to a tensor of its own on the
        GPU, or to ``into``.
        """
        target = torch.empty(view.shape, dtype=view.dtype, device=self.device) if into is None else into
        if view.numel() == 0:
            return target
        pieces = self._pieces(view) if self._options.pinned_inputs else []
        if len(pieces) > 1:
            for offset, size in pieces:
                part = slice(offset, offset + size)
                _bytes_of(target)[part].copy_(_bytes_of(view)[part], non_blocking=True)
            return target
        if self._options.pinned_inputs and not pieces:
            # torch keeps this memory for the next time, and until what is queued here has been done.
            view = view.pin_memory()
        return target.copy_(view, non_blocking=True)

    def download(self, value: torch.Tensor, place: torch.Tensor) -> None:
        """Starts to copy a tensor of the GPU to memory of the host, which has it after ``wait``."""
        if place.numel() == 0:
            return
        value = value.contiguous()
        pieces = self._pieces(place) if self._options.pinned_outputs else []
        if len(pieces) > 1:
            for offset, size in pieces:
                part = slice(offset, offset + size)
                _bytes_of(place)[part].copy_(_bytes_of(value)[part], non_blocking=True)
        elif pieces or not self._options.pinned_outputs:
            place.copy_(value, non_blocking=True)
        else:
            landing = torch.empty(place.shape, dtype=place.dtype, pin_memory=True)
            landing.copy_(value, non_blocking=True)
            self._landing.append((landing, place))

    def wait(self) -> None:
        """Until all that was queued is done; torch waits for the event without the GIL."""
        try:
            self._event.record(self._stream)
            self._event.synchronize()
            for landing, place in self._landing:
                place.copy_(landing)
        finally:
            self._landing.clear()

    def free_cached(self) -> None:
        """Gives the memory that torch keeps for streams back to the GPU. Waits for the device: at the end of
        an instance, whose stream nobody will use again.
        """
        self.free_workspaces()
        self._cuda.empty_cache()

    def free_workspaces(self) -> None:
        """Those of cuBLAS, of which torch keeps one for each stream that there ever was."""
        self._free_workspaces()

    def _pieces(self, view: torch.Tensor) -> list[tuple[int, int]]:
        size = view.numel() * view.element_size()
        found = [] if self._pinned is None else self._pinned.pieces(view.data_ptr(), size)
        # Else it may lie in the server's own pool, which the core has pinned.
        return found if found or self._pinned is not None or not view.is_pinned() else [(0, size)]


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)
