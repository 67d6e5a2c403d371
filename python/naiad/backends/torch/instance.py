"""One instance of a torch model: called once per batch, with the rows of all requests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from naiad.backends.model_tensors import ModelTensor
from naiad.backends.python.failure import encodable
from naiad.backends.torch.device import DeviceRun
from naiad.backends.torch.graphs import CapturedGraph, Graphs
from naiad.backends.torch.loaded import LoadedModel
from naiad.backends.torch.naming import OutputPlan, is_strings
from naiad.backends.torch.options import TorchOptions
from naiad.backends.torch.tensors import (
    DATATYPES,
    array_of_strings,
    scalar_of,
    strings_of,
    tensor_over,
    view_of,
)
from naiad.errors import BackendError, NaiadError

if TYPE_CHECKING:
    from naiad.engine import BatchView, DeviceBatchView

_log = logging.getLogger("naiad.backends.pytorch")


class TorchInstance:
    """A ``BatchInstance`` of _core.pyi. The thread of the instance, with the GIL; torch lets go of it."""

    def __init__(
        self,
        name: str,
        model: LoadedModel,
        outputs: Sequence[ModelTensor],
        options: TorchOptions,
        *,
        run: DeviceRun | None = None,
        graphs: Callable[[DeviceRun], Graphs] | None = None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """``name``: of the model. ``run``: its GPU, where it has one; ``graphs`` captures those that the
        model wants, once the thread is as the model runs in it. ``ended`` is called at the end of
        ``finalize``.
        """
        self.is_broken = False
        """Whether this process can not use its GPU any more."""
        self._name = name
        self._model: LoadedModel | None = model
        self._outputs = {output.name: output for output in outputs}
        self._plan = OutputPlan(name, [output.name for output in outputs])
        self._options = options
        self._ended = ended
        may_write = model.writes_inputs if options.read_only_inputs is None else not options.read_only_inputs
        self._copies_shared = may_write
        self._modes = contextlib.ExitStack()
        self._run = run
        self._graphs: Graphs | None = None
        try:
            self._enter_modes()
            if run is not None and graphs is not None:
                self._graphs = graphs(run)
        except BaseException:
            self._modes.close()
            raise

    def execute_batch(self, batch: BatchView) -> None:
        """Raises InvalidArgument for inputs that can not be the model's, BackendError for what it does."""
        if self.is_broken:
            raise BackendError(
                f"model '{self._name}' can not use its GPU any more: an earlier run has broken it"
            )
        # What copies read stays until they are done.
        given = batch.inputs()
        try:
            self._compute(batch, given, _Copies(self._run))
            if self._run is not None:
                self._run.wait()
        except Exception as error:
            if self._run is not None:
                self._drain(self._run, error)
            raise self._failure(error) from None
        if self._run is not None and self._options.clean_cache:
            torch.cuda.empty_cache()

    def enqueue(self, batch: DeviceBatchView) -> None:
        """Queues a batch on the stream that ``run`` was made with. Raises as ``execute_batch``."""
        try:
            self._compute(batch, batch.inputs(), _OnGpu(self._run))
        except Exception as error:
            raise self._failure(error) from None
        if self._options.clean_cache:
            torch.cuda.empty_cache()

    def finalize(self) -> None:
        """Frees the weights, where no other instance shares them."""
        if self._graphs is not None:
            self._graphs.close()
        self._model = None
        self._modes.close()
        if self._run is not None and not self.is_broken:
            with contextlib.suppress(RuntimeError):  # the device has failed: there is nothing to give back
                self._run.free_cached()
        self._ended()

    def _compute(
        self, batch: BatchView | DeviceBatchView, given: Sequence[tuple[str, str, Any]], copies: _Copies
    ) -> None:
        """On a GPU: queues it, and the copies around it."""
        assert self._model is not None
        model = self._model
        graph, views = self._graph_for(given)
        if graph is not None and self._graphs is not None:
            result = self._graphs.replay(graph, views, copies.fill)
        else:
            result = model.call(
                {
                    name: self._value(name, datatype, array, model.kinds.get(name, "any"), copies)
                    for name, datatype, array in given
                }
            )
        for name, value in self._plan.pick(result, batch.wanted_outputs):
            if graph is not None and graph.num_rows != batch.num_rows and isinstance(value, torch.Tensor):
                value = self._own_rows(name, value, graph, batch.num_rows)
            self._give(batch, self._outputs[name], value, copies)

    def _graph_for(
        self, given: Sequence[tuple[str, str, Any]]
    ) -> tuple[CapturedGraph | None, dict[str, torch.Tensor]]:
        if not self._graphs:
            return None, {}
        found = self._graphs.find({name: array.shape for name, _, array in given})
        if found is None:
            return None, {}
        return found, {name: tensor_over(array, datatype) for name, datatype, array in given}

    def _own_rows(self, name: str, value: torch.Tensor, graph: CapturedGraph, count: int) -> torch.Tensor:
        if value.ndim == 0 or value.shape[0] != graph.num_rows:
            raise BackendError(
                f"output '{name}' of model '{self._name}' has shape {list(value.shape)} for {graph.num_rows} "
                "rows: a graph with a lower bound needs a row of output for each row of input"
            )
        return value[:count]

    def _drain(self, run: DeviceRun, error: Exception) -> None:
        """Copies may still use the memory of the batch. What fails again here will always fail."""
        try:
            run.wait()
        except RuntimeError:
            self.is_broken = True
            _log.error("model '%s': its process can not use the GPU any more after: %s", self._name, error)

    def _enter_modes(self) -> None:
        """They are those of this thread, or of the process, which runs nothing but this instance's model."""
        options = self._options
        self._modes.enter_context(torch.inference_mode() if options.inference_mode else torch.no_grad())
        if not options.optimized_execution:
            self._modes.enter_context(torch.jit.optimized_execution(False))
        if not options.cudnn:
            self._modes.enter_context(torch.backends.cudnn.flags(enabled=False))
        if self._run is not None:
            self._modes.enter_context(self._run.entered())

    def _value(self, name: str, datatype: str, array: Any, kind: str, copies: _Copies) -> Any:
        if not isinstance(array, np.ndarray):
            tensor = tensor_over(array, datatype)
            return tensor if kind in ("any", "tensor") else scalar_of(name, tensor.cpu().numpy(), kind)
        if datatype == "BYTES":
            return strings_of(name, array)
        if kind in ("int", "float", "bool"):
            return scalar_of(name, array, kind)
        if copies.run is not None:
            return copies.run.upload(view_of(array, datatype))
        if self._copies_shared and not array.flags.writeable:
            array = array.copy()
        return view_of(array, datatype)

    def _give(
        self, batch: BatchView | DeviceBatchView, output: ModelTensor, value: Any, copies: _Copies
    ) -> None:
        if output.datatype == "BYTES":
            if not is_strings(value):
                raise self._mismatch(output, f"a {type(value).__name__}", "a list of strings")
            shape = self._text_shape(output, batch)
            batch.output(output.name, "BYTES", array_of_strings(value, shape, output.name))
            return
        if not isinstance(value, torch.Tensor):
            if not isinstance(value, (bool, int, float)):
                raise self._mismatch(output, f"a {type(value).__name__}", "a tensor")
            value = torch.tensor(value)
        datatype = DATATYPES.get(value.dtype, str(value.dtype))
        if datatype != output.datatype:
            raise self._mismatch(output, f"data type {datatype}", output.datatype)
        shape = tuple(value.shape)
        if not _fits(shape, output.shape):
            if shape or output.shape != (1,):
                raise self._mismatch(output, f"shape {list(shape)}", str(list(output.shape)))
            shape = (1,)  # a scalar, which a configuration has no word for
            value = value.reshape(shape)
        place = batch.place(output.name, datatype, shape)
        if value.numel():
            copies.give(value, tensor_over(place, datatype))

    def _text_shape(self, output: ModelTensor, batch: BatchView | DeviceBatchView) -> tuple[int, ...]:
        if output.shape[:1] == (-1,) and len(output.shape) > 1:
            return (batch.num_rows, *output.shape[1:])
        return output.shape

    def _mismatch(self, output: ModelTensor, got: str, expected: str) -> BackendError:
        return BackendError(
            f"output '{output.name}' of model '{self._name}' is {got}, but the configuration says {expected}"
        )

    def _failure(self, error: Exception) -> NaiadError:
        if isinstance(error, NaiadError):
            return error
        _log.error("model '%s' failed", self._name, exc_info=error)
        return BackendError(
            f"Failed to process the request(s) for model '{self._name}', message: "
            + encodable(_said_by(error))
        )


class _Copies:
    """Where the tensors of a batch are in memory of the host."""

    def __init__(self, run: DeviceRun | None) -> None:
        self.run = run

    def fill(self, view: torch.Tensor, into: torch.Tensor) -> None:
        """An input, to a tensor of a graph."""
        assert self.run is not None
        self.run.upload(view, into)

    def give(self, value: torch.Tensor, place: torch.Tensor) -> None:
        """An output, to its place."""
        if self.run is not None and value.device.type == self.run.device.type:
            self.run.download(value, place)
        else:
            place.copy_(value)


class _OnGpu(_Copies):
    """Where they are on the GPU already: the core has brought them, and takes what comes."""

    def fill(self, view: torch.Tensor, into: torch.Tensor) -> None:
        into.copy_(view, non_blocking=True)

    def give(self, value: torch.Tensor, place: torch.Tensor) -> None:
        place.copy_(value, non_blocking=True)


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        dim in (-1, size) for size, dim in zip(shape, expected, strict=True)
    )


def _said_by(error: Exception) -> str:
    """Type and text. TorchScript's text is a traceback, with paths of files, which ends in both."""
    text = str(error).strip()
    if text.startswith("CUDA error:"):
        return text.splitlines()[0]  # behind it torch says how to debug
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and "Traceback of TorchScript" in text:
        return lines[-1]
    return f"{type(error).__name__}: {text}"


def set_threads(options: TorchOptions, model: str, *, own_process: bool) -> None:
    """``intra_op_threads`` of this thread, ``inter_op_threads`` of the process.

    Raises BackendError when another model of this process has chosen another number before.
    """
    torch.set_num_threads(options.intra_op_threads)
    wanted = options.inter_op_threads
    if wanted is None or wanted == torch.get_num_interop_threads():
        return
    try:
        torch.set_num_interop_threads(wanted)
    except RuntimeError:
        where = "" if own_process else "; a process of its own (isolation 'process') has its own"
        raise BackendError(
            f"model '{model}': parameter INTER_OP_THREAD_COUNT can be set once in a process, and is "
            f"{torch.get_num_interop_threads()} already{where}"
        ) from None


def set_executor(options: TorchOptions) -> None:
    """How TorchScript runs graphs, in the whole process."""
    if not options.jit_executor:
        torch._C._jit_set_profiling_executor(False)
    if not options.jit_profiling:
        torch._C._jit_set_profiling_mode(False)
