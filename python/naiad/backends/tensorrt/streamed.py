"""An instance of an engine that queues its batches on a stream of the core's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from naiad.backends.model_tensors import ModelTensor
from naiad.backends.tensorrt.buffers import Buffers
from naiad.backends.tensorrt.contracts import EngineTensor
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.backends.tensorrt.options import TensorRtOptions

if TYPE_CHECKING:
    from naiad.engine import DeviceBatchView


def needs_host(tensors: Iterable[EngineTensor]) -> bool:
    """Whether a run needs the host between its start and its end: for the values of shape tensors."""
    return any(tensor.is_shape_tensor or tensor.on_host for tensor in tensors)


class ComputedShapeError(Exception):
    """The shape of an output is known only when it has been computed, for which somebody has to wait."""


class StreamedInstance(TensorRtInstance):
    """A ``DeviceInstance`` of _core.pyi: the core has brought the inputs to the GPU, and takes the outputs
    from there. The engine reads and writes where they lie, on the ``stream`` that it is given. CUDA graphs
    are the core's. Making it raises ComputedShapeError for an engine that can not be run so. The thread of
    the instance.
    """

    can_be_captured = True

    def enqueue(self, batch: DeviceBatchView) -> None:
        """Raises InvalidArgument for shapes that no profile allows, BackendError for what TensorRT and CUDA
        say.
        """
        given: dict[str, Any] = {name: tensor for name, _, tensor in batch.inputs()}
        bound, asked = self._choose(given, batch.num_rows)
        bound.set_shapes(asked.shapes)
        bound.infer()
        addresses = {name: tensor.address for name, tensor in given.items()}
        for name, output in self._outputs.items():
            addresses[name] = self._place(batch, output, bound.output_shape(name) or (1,)).address
        bound.bind_at(addresses)
        bound.enqueue()

    def _make_buffers(self, sizes: list[tuple[EngineTensor, int]], options: TensorRtOptions) -> Buffers:
        """None: the core has them."""
        for bound in self._bound.values():
            bound.infer()
            if bound.computes_shapes():
                raise ComputedShapeError
        return Buffers(self._cuda, (), pinned_inputs=False, pinned_outputs=False)

    def _capture(self, options: TensorRtOptions, inputs: Mapping[str, ModelTensor]) -> None:
        """The core does."""
