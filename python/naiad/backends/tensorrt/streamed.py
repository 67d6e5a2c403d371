"""An instance of an engine that queues its batches on a stream of the core's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from naiad.backends.tensorrt.bound import BoundContext, Graph
from naiad.backends.tensorrt.buffers import Buffers
from naiad.backends.tensorrt.contracts import Cuda, Engine, EngineTensor, Shape
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.backends.tensorrt.options import TensorRtOptions
from naiad.backends.tensorrt.tensors import fits, size_bytes
from naiad.config import InstanceGroup, ModelConfig
from naiad.errors import BackendError

if TYPE_CHECKING:
    from naiad.engine import DeviceBatchView


def needs_host(tensors: Iterable[EngineTensor]) -> bool:
    """Whether a run needs the host between its start and its end: for the values of shape tensors."""
    return any(tensor.is_shape_tensor or tensor.on_host for tensor in tensors)


class ComputedShapeError(Exception):
    """The shape of an output is known only when it has been computed, for which somebody has to wait."""


class StreamedInstance(TensorRtInstance):
    """A ``DeviceInstance`` of _core.pyi: the core has brought the inputs to the GPU, and takes the outputs
    from there. The engine reads and writes where they lie; a CUDA graph has memory of its own, from and to
    which they are copied on the GPU. The thread of the instance.
    """

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        group: InstanceGroup,
        engine: Engine,
        cuda: Cuda,
        options: TensorRtOptions,
        stream: int,
    ) -> None:
        """``stream``: a ``cudaStream_t``, which outlives the instance. Raises ComputedShapeError for an
        engine that can not be run so; else as ``TensorRtInstance``.
        """
        self._given_stream = stream
        super().__init__(name, config, group, engine, cuda, options)

    def enqueue(self, batch: DeviceBatchView) -> None:
        """Raises InvalidArgument for shapes that no profile allows, BackendError for what TensorRT and CUDA
        say.
        """
        given: dict[str, Any] = {name: tensor for name, _, tensor in batch.inputs()}
        bound, asked = self._choose(given, batch.num_rows)
        graph = bound.find_graph(asked.shapes)
        if graph is None or graph.shapes != asked.shapes:
            bound.set_shapes(asked.shapes)
            bound.infer()
        if graph is not None and self._serves_rows(bound, graph, asked.shapes):
            self._replay(batch, bound, graph, given, asked.shapes)
            return
        addresses = {name: tensor.address for name, tensor in given.items()}
        for name in self._outputs:
            addresses[name] = self._place(batch, name, bound.output_shape(name)).address
        bound.bind_at(addresses)
        bound.enqueue()

    def _make_stream(self, options: TensorRtOptions) -> int:
        return self._given_stream

    def _make_buffers(self, sizes: list[tuple[EngineTensor, int]], options: TensorRtOptions) -> Buffers:
        """Of graphs alone."""
        for bound in self._bound.values():
            bound.infer()
            if bound.computes_shapes():
                raise ComputedShapeError
        return Buffers(self._cuda, sizes if options.graphs else (), pinned_inputs=False, pinned_outputs=False)

    def _serves_rows(self, bound: BoundContext, graph: Graph, shapes: Mapping[str, Shape]) -> bool:
        """Whether what the batch has lies at the beginning of what the graph has: fewer rows, or the same."""
        if graph.shapes == shapes:
            return True
        own = [(shape, graph.shapes[name]) for name, shape in shapes.items()]
        own += [(bound.output_shape(name), graph.outputs[name]) for name in self._outputs]
        return all(small[1:] == large[1:] for small, large in own)

    def _replay(
        self,
        batch: DeviceBatchView,
        bound: BoundContext,
        graph: Graph,
        given: Mapping[str, Any],
        shapes: Mapping[str, Shape],
    ) -> None:
        for name, shape in shapes.items():
            datatype, address = self._tensors[name].datatype, self._buffers.slots[name].address
            size, whole = size_bytes(datatype, shape), size_bytes(datatype, graph.shapes[name])
            self._copy(address, given[name].address, size)
            if size < whole:
                self._cuda.zero(address + size, whole - size, self._stream)
        self._cuda.launch(graph.number, self._stream)
        for name in batch.wanted_outputs:
            shape = graph.outputs[name] if graph.shapes == shapes else bound.output_shape(name)
            place = self._place(batch, name, shape)
            size = size_bytes(self._tensors[name].datatype, shape)
            self._copy(place.address, self._buffers.slots[name].address, size)

    def _copy(self, to: int, source: int, size: int) -> None:
        if size:
            self._cuda.copy(to, source, size, self._stream)

    def _place(self, batch: DeviceBatchView, name: str, shape: Shape) -> Any:
        output, own = self._outputs[name], shape or (1,)
        if not fits(output.shape, own):
            raise BackendError(
                f"output '{name}' of model '{self._config.name}' is shape {list(own)}, but the configuration "
                f"says {list(output.shape)}"
            )
        return batch.place(name, output.datatype, own)
