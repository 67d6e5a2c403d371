"""One instance of an engine: contexts, a stream and buffers of its own, called once per batch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from naiad.backends.model_tensors import ModelTensor, model_inputs, model_outputs
from naiad.backends.tensorrt.bound import BoundContext, Graph
from naiad.backends.tensorrt.buffers import Buffers, corner
from naiad.backends.tensorrt.completion import most_rows
from naiad.backends.tensorrt.contracts import Cuda, Engine, EngineTensor, Shape
from naiad.backends.tensorrt.failures import CudaError
from naiad.backends.tensorrt.graphs import graph_shapes
from naiad.backends.tensorrt.options import TensorRtOptions
from naiad.backends.tensorrt.profiles import BatchShapes, choose_profile, profile_indices, read_profile
from naiad.backends.tensorrt.sizes import buffer_sizes
from naiad.backends.tensorrt.tensors import check_batch, check_tensors, fits, size_bytes
from naiad.config import InstanceGroup, ModelConfig
from naiad.errors import BackendError, InvalidArgument, NaiadError

if TYPE_CHECKING:
    from naiad.engine import BatchView, DeviceBatchView

_log = logging.getLogger("naiad.backends.tensorrt")


class TensorRtInstance:
    """A ``BatchInstance`` of _core.pyi. The thread of the instance, whose GPU is ``cuda``'s."""

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        group: InstanceGroup,
        engine: Engine,
        cuda: Cuda,
        options: TensorRtOptions,
        *,
        stream: int = 0,
    ) -> None:
        """``stream``: one that somebody else has made (a ``cudaStream_t``) and that outlives the instance; 0:
        one of its own. Raises ConfigError where configuration and engine contradict each other, BackendError
        where TensorRT or CUDA refuses something.
        """
        self.is_broken = False
        """Whether this process can not use its GPU any more."""
        self._name = name
        self._config = config
        self._engine: Engine | None = engine
        self._cuda = cuda
        self._batches = config.max_batch_size > 0
        self._tensors = {tensor.name: tensor for tensor in engine.tensors}
        has_shape_inputs = any(tensor.is_input and tensor.is_shape_tensor for tensor in engine.tensors)
        self._growing = [
            tensor.name
            for tensor in engine.tensors
            if has_shape_inputs and not tensor.is_input and tensor.is_dynamic
        ]
        self._outputs = {output.name: output for output in model_outputs(config)}
        indices = profile_indices(config.name, group, engine.num_profiles)
        self._profiles = [read_profile(engine, profile, index) for profile, index in indices]
        check_tensors(config, engine, self._profiles)
        if self._batches:
            check_batch(config, most_rows(engine, [profile.index for profile in self._profiles]))
        self._closing = ExitStack()
        try:
            self._prepare(engine, options, stream)
        except BaseException:
            self.finalize()
            raise

    def _prepare(self, engine: Engine, options: TensorRtOptions, stream: int) -> None:
        cuda, config = self._cuda, self._config
        self._stream = stream or self._make_stream(options)
        self._event = cuda.make_event(busy_wait=options.busy_wait)
        self._close_with(cuda.destroy_event, self._event)
        self._bound: dict[int, BoundContext] = {}
        for profile in self._profiles:
            context = engine.make_context(options.allocation)
            self._bound[profile.index] = BoundContext(
                self._name, engine, context, profile, cuda, self._stream
            )
        inputs = {tensor.name: tensor for tensor in model_inputs(config)}
        sizes = buffer_sizes(config, engine, list(self._bound.values()), inputs)
        self._buffers = self._make_buffers(sizes, options)
        self._closing.callback(self._buffers.close)
        for bound in self._bound.values():
            bound.bind(self._buffers)
            self._closing.callback(bound.close)
        cuda.wait(self._event, self._stream)
        self._capture(options, inputs)

    def _make_stream(self, options: TensorRtOptions) -> int:
        stream = self._cuda.make_stream(options.stream_priority)
        self._close_with(self._cuda.destroy_stream, stream)
        return stream

    def _make_buffers(self, sizes: list[tuple[EngineTensor, int]], options: TensorRtOptions) -> Buffers:
        return Buffers(
            self._cuda, sizes, pinned_inputs=options.pinned_inputs, pinned_outputs=options.pinned_outputs
        )

    def _capture(self, options: TensorRtOptions, inputs: Mapping[str, ModelTensor]) -> None:
        if options.graphs and any(tensor.is_shape_tensor for tensor in self._tensors.values()):
            _log.warning("Detected shape tensor, CUDA graph is not captured for %s", self._name)
            return
        for spec in options.graphs:
            for bound, shapes, least in graph_shapes(self._config, spec, list(self._bound.values()), inputs):
                if bound.capture(shapes, least, self._event):
                    _log.debug("captured CUDA graph for %s, shapes %s", self._name, shapes)

    def execute_batch(self, batch: BatchView) -> None:
        """Raises InvalidArgument for shapes that no profile allows, BackendError for what TensorRT and CUDA
        say.
        """
        if self.is_broken:
            raise BackendError(
                f"model instance '{self._name}' can not use its GPU any more: an earlier run has broken it"
            )
        try:
            self._run(batch)
        except CudaError as error:
            self._note(error)
            raise
        except NaiadError as error:
            # Copies may still use the buffers; and where TensorRT says that something failed, CUDA says what.
            try:
                self._cuda.wait(self._event, self._stream)
            except CudaError as cause:
                self._note(cause)
                raise BackendError(f"{error}; {cause}") from None
            raise
        finally:
            self._buffers.let_go()

    def finalize(self) -> None:
        """Frees everything, and the engine where no other instance uses it."""
        self._closing.close()
        self._bound = {}
        self._engine = None

    def _run(self, batch: BatchView) -> None:
        given = {name: array for name, _, array in batch.inputs()}
        bound, asked = self._choose(given, batch.num_rows)
        graph = None if asked.values else bound.find_graph(asked.shapes)
        is_exact = graph is not None and graph.shapes == asked.shapes
        for name, values in asked.values.items():
            self._buffers.write_values(name, values)
        if not is_exact:
            bound.set_shapes(asked.shapes)
            bound.infer()
        for name, shape in (graph.shapes if graph is not None else asked.shapes).items():
            self._buffers.load(name, given[name], shape, self._stream)
        if graph is not None:
            self._cuda.launch(graph.number, self._stream)
        else:
            is_computed = bound.settle_outputs()
            self._make_room(bound)
            bound.enqueue()
            if is_computed:
                self._cuda.wait(self._event, self._stream)
        run = {name: _run_shape(bound, graph, name) for name in batch.wanted_outputs}
        for name, shape in run.items():
            self._buffers.fetch(name, size_bytes(self._tensors[name].datatype, shape), self._stream)
        self._cuda.wait(self._event, self._stream)
        for name, shape in run.items():
            own = shape if graph is None or is_exact else bound.output_shape(name)
            self._give(batch, self._outputs[name], self._tensors[name], shape, own)

    def _make_room(self, bound: BoundContext) -> None:
        """For outputs whose largest size could not be known before: values of shape tensors set it."""
        for name in self._growing:
            size = size_bytes(self._tensors[name].datatype, bound.output_shape(name))
            if size <= self._buffers.slots[name].capacity:
                continue
            self._cuda.wait(self._event, self._stream)
            self._buffers.grow(name, size)
            for other in self._bound.values():
                other.bind(self._buffers)

    def _choose(self, given: Mapping[str, Any], num_rows: int) -> tuple[BoundContext, BatchShapes]:
        """The context that runs a batch, and what the batch asks of it. ``given``: arrays, or tensors of the
        GPU.
        """
        asked = self._asked(given, num_rows)
        return self._bound[choose_profile(self._profiles, asked).index], asked

    def _asked(self, given: Mapping[str, Any], num_rows: int) -> BatchShapes:
        """What the batch asks of the engine. The order of shapes is the engine's."""
        shapes: dict[str, Shape] = {}
        values: dict[str, Shape] = {}
        for name, tensor in self._tensors.items():
            if not tensor.is_input:
                continue
            array = given.get(name)
            if array is None:
                raise InvalidArgument(f"input '{name}' is missing, which the engine has no value for")
            if tensor.is_shape_tensor:
                own = tuple(int(value) for value in array.flat)
                values[name] = (num_rows, *own) if self._batches and tensor.shape else own
            else:
                shapes[name] = array.shape if tensor.shape else ()
        return BatchShapes(shapes, values)

    def _give(
        self, batch: BatchView, output: ModelTensor, tensor: EngineTensor, shape: Shape, own: Shape
    ) -> None:
        """``shape``: of what the engine has written; ``own``: the part of it that is the batch's."""
        if tensor.is_shape_tensor:
            self._give_values(batch, output, shape)
            return
        own = own or (1,)
        place = self._place(batch, output, own)
        if not place.size:
            return
        result = self._buffers.result(output.name, shape or (1,), place.dtype)
        place[...] = result if shape in (own, ()) else result[corner(own)]

    def _place(self, batch: BatchView | DeviceBatchView, output: ModelTensor, shape: Shape) -> Any:
        if not fits(output.shape, shape):
            raise BackendError(
                f"output '{output.name}' of model '{self._config.name}' is shape {list(shape)}, but the "
                f"configuration says {list(output.shape)}"
            )
        return batch.place(output.name, output.datatype, shape)

    def _give_values(self, batch: BatchView, output: ModelTensor, shape: Shape) -> None:
        values = self._buffers.read_values(output.name, math.prod(shape))
        if not self._batches:
            batch.place(output.name, output.datatype, shape or (1,))[...] = values
            return
        if not values.size or values[0] != batch.num_rows:
            raise BackendError(f"failed to retrieve the output shape values from binding '{output.name}'")
        # Every request gets the same; the number of rows is the batch's business.
        place = batch.place(output.name, output.datatype, (batch.num_rows, values.size - 1))
        place[...] = values[1:]

    def _note(self, error: CudaError) -> None:
        _log.error("model instance '%s' failed: %s", self._name, error)
        if error.is_lasting:
            self.is_broken = True
            _log.error(
                "model instance '%s': its process can not use the GPU any more after %s",
                self._name,
                error.name,
            )

    def _close_with(self, close: Any, number: int) -> None:
        def closing() -> None:
            with suppress(CudaError):
                close(number)

        self._closing.callback(closing)


def _run_shape(bound: BoundContext, graph: Graph | None, name: str) -> Shape:
    """Of an output, as the engine writes it."""
    return bound.output_shape(name) if graph is None else graph.outputs[name]
