"""What the backend wants of TensorRT and of CUDA, and no more: ``runtime`` and ``cuda`` give it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine."""

    name: str
    is_input: bool
    datatype: str
    """The wire name; what the protocol lacks is TensorRT's own name, as FP8."""
    shape: Shape
    """All dimensions; -1 is any size that the profiles allow."""
    is_shape_tensor: bool = False
    """Its values, not its elements, are what TensorRT reads or writes when it infers shapes."""
    on_host: bool = False
    """Whether its memory must be the host's."""
    format: str = "LINEAR"
    """Of its elements in memory, by TensorRT's name."""
    vectorized_dim: int = -1
    """The dimension whose elements lie in vectors; -1: none does."""
    vector_size: int = 1

    @property
    def is_linear(self) -> bool:
        return self.format == "LINEAR"

    @property
    def is_dynamic(self) -> bool:
        """Whether a dimension is free."""
        return -1 in self.shape


@dataclass(frozen=True)
class Range:
    """What a profile says of an input: of its shape, or of the values of a shape tensor."""

    least: Shape
    best: Shape
    most: Shape


class OutputPlace(Protocol):
    """Where an output goes whose shape is known only when it has been computed."""

    def reserve(self, size_bytes: int) -> int:
        """The address of at least so many bytes of device memory; 0 where there are none."""

    def settle(self, shape: Shape) -> None:
        """Says the shape."""


class Context(Protocol):
    """What runs an engine with one profile. One thread at a time."""

    def set_profile(self, profile: int, stream: int) -> bool: ...
    def set_shape(self, name: str, shape: Shape) -> bool: ...
    def set_address(self, name: str, address: int) -> bool: ...
    def set_output_place(self, name: str, place: OutputPlace) -> bool:
        """In place of an address. The context keeps ``place``."""

    def insufficient(self) -> Sequence[str]:
        """Infers shapes; the inputs of which it still lacks shape or address. Raises BackendError."""

    def shape_of(self, name: str) -> Shape:
        """As inferred; -1 stands where it depends on what is computed."""

    def most_bytes(self, name: str) -> int:
        """Of an output, for the shapes of the inputs; less than 0 where it is not known."""

    def enqueue(self, stream: int) -> bool:
        """Starts the model on the stream."""


class Engine(Protocol):
    """An engine in the memory of one GPU. Contexts of several threads may share it."""

    tensors: Sequence[EngineTensor]
    num_profiles: int

    def shapes(self, name: str, profile: int) -> Range:
        """What the profile says of an input's shape."""

    def values(self, name: str, profile: int) -> Range | None:
        """And of the values of a shape tensor; None where it says nothing."""

    def make_context(self, allocation: str) -> Context:
        """``allocation``: "STATIC" or "ON_PROFILE_CHANGE". Raises BackendError."""

    def last_error(self) -> str:
        """What TensorRT has said last that is an error, and forgets it; "" where it has said nothing."""


class Cuda(Protocol):
    """One GPU, for one instance. All methods raise ``CudaError``. The thread of the instance."""

    def make_current(self) -> None:
        """Makes it the GPU of the calling thread."""

    def compute_capability(self) -> str:
        """Like "8.6"."""

    def make_stream(self, priority: int) -> int:
        """``priority``: 1 for the highest that the GPU has, -1 for the lowest, 0 for neither."""

    def make_event(self, *, busy_wait: bool) -> int:
        """``busy_wait``: who waits for it spins."""

    def wait(self, event: int, stream: int) -> None:
        """Until what stands in the stream is done. Without the GIL."""

    def allocate(self, size_bytes: int) -> int: ...
    def free(self, address: int) -> None: ...
    def allocate_pinned(self, size_bytes: int) -> int: ...
    def free_pinned(self, address: int) -> None: ...
    def host_view(self, address: int, size_bytes: int) -> NDArray[Any]:
        """Bytes of pinned memory, as an array over them."""

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Between host and device, in whichever direction, in the order of the stream."""

    def capture(self, stream: int, record: Callable[[], bool]) -> int:
        """A graph of what ``record`` starts on the stream; 0 where it returns False."""

    def launch(self, graph: int, stream: int) -> None: ...
    def destroy_graph(self, graph: int) -> None: ...
    def destroy_event(self, event: int) -> None: ...
    def destroy_stream(self, stream: int) -> None: ...
