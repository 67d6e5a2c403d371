"""An instance of an engine that queues its batches on a stream of the core's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from naiad.backends.model_tensors import ModelTensor
from naiad.backends.tensorrt.buffers import Buffers
from naiad.backends.tensorrt.contracts import Cuda, Engine, EngineTensor, Shape
from naiad.backends.tensorrt.instance import TensorRtInstance
from naiad.backends.tensorrt.options import TensorRtOptions
from naiad.backends.tensorrt.tensors import fits
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
    from there. The engine reads and writes where they lie. CUDA graphs are the core's. The thread of the
    instance.
    """

    can_be_captured = True

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
        bound.set_shapes(asked.shapes)
        bound.infer()
        addresses = {name: tensor.address for name, tensor in given.items()}
        for name in self._outputs:
            addresses[name] = self._place(batch, name, bound.output_shape(name)).address
        bound.bind_at(addresses)
        bound.enqueue()

    def _make_stream(self, options: TensorRtOptions) -> int:
        return self._given_stream

    def _make_buffers(self, sizes: list[tuple[EngineTensor, int]], options: TensorRtOptions) -> Buffers:
        """None: the core has them."""
        for bound in self._bound.values():
            bound.infer()
            if bound.computes_shapes():
                raise ComputedShapeError
        return Buffers(self._cuda, (), pinned_inputs=False, pinned_outputs=False)

    def _capture(self, options: TensorRtOptions, inputs: Mapping[str, ModelTensor]) -> None:
        """The core does."""

    def _place(self, batch: DeviceBatchView, name: str, shape: Shape) -> Any:
        output, own = self._outputs[name], shape or (1,)
        if not fits(output.shape, own):
            raise BackendError(
                f"output '{name}' of model '{self._config.name}' is shape {list(own)}, but the configuration "
                f"says {list(output.shape)}"
            )
        return batch.place(name, output.datatype, own)
