"""An execution context of one profile, bound to the buffers of its instance, and its CUDA graphs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from naiad.backends.tensorrt.buffers import Buffers
from naiad.backends.tensorrt.contracts import Context, Cuda, Engine, Shape
from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.profiles import Profile
from naiad.errors import BackendError

_log = logging.getLogger("naiad.backends.tensorrt")


class SettledShape:
    """The place of an output whose shape is known when it has been computed: an ``OutputPlace``."""

    def __init__(self, buffers: Buffers, name: str) -> None:
        self._buffers = buffers
        self._name = name
        self.shape: Shape = ()

    def reserve(self, size_bytes: int) -> int:
        """Called within ``enqueue``: what is raised there would be lost, so it is said by 0."""
        try:
            return self._buffers.grow(self._name, size_bytes)
        except CudaError as error:
            _log.error("output '%s' has no memory: %s", self._name, error)
            return 0

    def settle(self, shape: Shape) -> None:
        self.shape = shape


@dataclass(frozen=True)
class Graph:
    """A captured run for certain shapes of the inputs."""

    number: int
    shapes: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    least: Mapping[str, Shape] | None
    """None: it serves its own shapes alone."""

    def serves(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether other shapes than its own lie within its bounds."""
        if self.least is None:
            return False
        return all(
            len(shape) == len(self.shapes[name])
            and all(
                low <= size <= high
                for low, size, high in zip(self.least[name], shape, self.shapes[name], strict=True)
            )
            for name, shape in shapes.items()
        )

    @property
    def num_elements(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())


class BoundContext:
    """One profile of an instance. The thread of the instance."""

    def __init__(
        self, name: str, engine: Engine, context: Context, profile: Profile, cuda: Cuda, stream: int
    ) -> None:
        """``name``: of the instance. Raises BackendError where TensorRT refuses the profile."""
        self.profile = profile
        self.graphs: list[Graph] = []
        self._name = name
        self._engine = engine
        self._context = context
        self._cuda = cuda
        self._stream = stream
        self._shapes: dict[str, Shape] = {}
        self._settled: dict[str, SettledShape] = {}
        self._exact: dict[tuple[Shape, ...], Graph] = {}
        self._outputs = [tensor.name for tensor in engine.tensors if not tensor.is_input]
        if not context.set_profile(profile.index, stream):
            raise BackendError(
                f"Can not set the specified optimization profile {profile} for {name}: {self._said()}"
            )

    def bind(self, buffers: Buffers) -> None:
        buffers.bind(self._context)
        self._buffers = buffers

    def bind_at(self, addresses: Mapping[str, int]) -> None:
        """Tells the context where the tensors of the next run lie. Raises BackendError."""
        for name, address in addresses.items():
            if not self._context.set_address(name, address):
                raise BackendError(f"'{name}' can not lie at {address:#x} for {self._name}: {self._said()}")

    def computes_shapes(self) -> bool:
        """After ``infer``: whether the shape of an output depends on what is computed."""
        return any(-1 in self._context.shape_of(name) for name in self._outputs)

    def set_shapes(self, shapes: Mapping[str, Shape]) -> None:
        """Of all inputs but shape tensors. Raises BackendError."""
        for name, shape in shapes.items():
            if self._shapes.get(name) == shape:
                continue
            if not self._context.set_shape(name, shape):
                self._shapes.pop(name, None)
                raise BackendError(
                    f"trt failed to set binding dimension to {list(shape)} for input '{name}' for "
                    f"{self._name}: " + self._said()
                )
            self._shapes[name] = shape

    def infer(self) -> None:
        """The shapes of the outputs, from what was set. Raises BackendError."""
        lacking = self._context.insufficient()
        if lacking:
            raise BackendError(
                "failed to specify the dimensions of all input tensors or values of all input shape tensors: "
                + ", ".join(lacking)
            )

    def output_bytes(self, name: str) -> int:
        """The most that an output has for the shapes that are set; -1 where TensorRT can not say."""
        return self._context.most_bytes(name)

    def settle_outputs(self) -> bool:
        """After ``infer``: finds a place for the outputs whose shapes depend on what is computed. Whether
        there are any.
        """
        for name in self._outputs:
            if -1 not in self._context.shape_of(name) or name in self._settled:
                continue
            place = SettledShape(self._buffers, name)
            if not self._context.set_output_place(name, place):
                raise BackendError(f"output '{name}' can not have a shape that is computed: {self._said()}")
            self._settled[name] = place
        return bool(self._settled)

    def output_shape(self, name: str) -> Shape:
        """After the run, for those that depend on it; else after ``infer``."""
        settled = self._settled.get(name)
        return self._context.shape_of(name) if settled is None else settled.shape

    def enqueue(self) -> None:
        """Starts the model. Raises BackendError where TensorRT does not."""
        if not self._context.enqueue(self._stream):
            raise BackendError(f"unable to enqueue for inference {self._name}: {self._said()}")

    def find_graph(self, shapes: Mapping[str, Shape]) -> Graph | None:
        """The one that was captured for these shapes, or the smallest one that serves them."""
        exact = self._exact.get(tuple(shapes.values()))
        if exact is not None:
            return exact
        serving = [graph for graph in self.graphs if graph.serves(shapes)]
        return min(serving, key=lambda graph: graph.num_elements, default=None)

    def capture(self, shapes: Mapping[str, Shape], least: Mapping[str, Shape] | None, event: int) -> bool:
        """Captures a graph; whether there is one now: an engine may have what can not be captured. Raises
        BackendError and CudaError where it does not run at all.
        """
        self.set_shapes(shapes)
        self.infer()
        if self.settle_outputs():
            _log.warning("CUDA graph is not captured for %s: the shape of an output is computed", self._name)
            return False
        # TensorRT does work of its own in the first run for a shape, which must not be in the graph.
        self.enqueue()
        self._cuda.wait(event, self._stream)
        number, why = 0, ""
        try:
            number = self._cuda.capture(self._stream, lambda: self._context.enqueue(self._stream))
        except CudaError as error:
            if error.is_lasting:
                raise
            why = str(error)
        if not number:
            _log.warning("unable to record CUDA graph for %s: %s", self._name, self._said() or why)
            return False
        outputs = {name: self._context.shape_of(name) for name in self._outputs}
        graph = Graph(number, dict(shapes), outputs, None if least is None else dict(least))
        self.graphs.append(graph)
        self._exact.setdefault(tuple(shapes.values()), graph)
        return True

    def close(self) -> None:
        """Destroys the graphs, as far as the GPU still answers."""
        for graph in self.graphs:
            try:
                self._cuda.destroy_graph(graph.number)
            except CudaError as error:
                _log.debug("graph of %s: %s", self._name, error)
        self.graphs.clear()
        self._exact.clear()

    def _said(self) -> str:
        return self._engine.last_error()
