"""One instance of an OpenVINO model: an infer request of its own, called once per batch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from naiad.backends.model_tensors import model_inputs, model_outputs
from naiad.backends.openvino.model import OpenVinoModel, is_scalar, said_by
from naiad.backends.openvino.options import OpenVinoOptions
from naiad.config import ModelConfig
from naiad.engine import writable_view
from naiad.errors import BackendError, InvalidArgument

if TYPE_CHECKING:
    from naiad.engine import BatchView

_log = logging.getLogger("naiad.backends.openvino")


class OpenVinoInstance:
    """A ``BatchInstance`` of _core.pyi. The thread of the instance; OpenVINO lets go of the GIL."""

    def __init__(
        self,
        config: ModelConfig,
        model: OpenVinoModel,
        compiled: Any,
        options: OpenVinoOptions,
        *,
        owner: Any = None,
    ) -> None:
        """``compiled``: of ``model``; instances may share it. ``owner`` lives as long as this one."""
        self._name = config.name
        inputs, outputs = model_inputs(config), model_outputs(config)
        self._inputs = dict(
            zip((t.name for t in inputs), model.places(inputs, model.inputs, "input"), strict=True)
        )
        self._outputs = dict(
            zip((t.name for t in outputs), model.places(outputs, model.outputs, "output"), strict=True)
        )
        self._datatypes = {tensor.name: tensor.datatype for tensor in outputs}
        self._scalars = {t.name for t in inputs if is_scalar(model.inputs[self._inputs[t.name]])}
        # Rows of every batch, where the file fixes them.
        self._fixed_rows = config.max_batch_size if options.fixed_batch else 0
        self._pads = options.pads_batches
        self._request: Any = compiled.create_infer_request()
        self._owner = owner

    def execute_batch(self, batch: BatchView) -> None:
        """Raises InvalidArgument for a batch of a wrong size, BackendError for what OpenVINO says."""
        missing = self._missing_rows(batch)
        # The request sees this memory until it has run.
        given = {
            name: (datatype, self._formed(name, array, missing)) for name, datatype, array in batch.inputs()
        }
        try:
            for name, (datatype, array) in given.items():
                self._request.set_input_tensor(self._inputs[name], _tensor_over(array, datatype))
            self._request.infer()
        except Exception as error:
            _log.error("model '%s' failed: %s", self._name, error)
            raise BackendError(
                f"Failed to process the request(s) for model '{self._name}', message: {said_by(error)}"
            ) from None
        for name in batch.wanted_outputs:
            result = self._request.get_output_tensor(self._outputs[name]).data
            if self._datatypes[name] == "BF16":
                result = result.view(np.uint16)
            if missing:
                result = result[: batch.num_rows]
            shape = result.shape or (1,)
            batch.place(name, self._datatypes[name], shape)[...] = result.reshape(shape)

    def finalize(self) -> None:
        """Lets go of the infer request, and of the compiled model when it was the last one."""
        self._request = None
        self._owner = None

    def _missing_rows(self, batch: BatchView) -> int:
        if not self._fixed_rows or batch.num_rows == self._fixed_rows:
            return 0
        if not self._pads:
            raise InvalidArgument(
                f"model '{self._name}' runs batches of {self._fixed_rows} rows alone, got {batch.num_rows}; "
                "parameter ENABLE_BATCH_PADDING adds the others"
            )
        return self._fixed_rows - batch.num_rows

    def _formed(self, name: str, array: Any, missing: int) -> Any:
        if name in self._scalars:
            return array.reshape(())
        if not missing:
            return array
        return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])


def _tensor_over(array: Any, datatype: str) -> Any:
    """OpenVINO's tensor over the array's memory, which it does not write to, without a copy."""
    if not array.flags.writeable:
        array = writable_view(array)
    if datatype == "BF16":
        return openvino.Tensor(array, openvino.Shape(list(array.shape)), openvino.Type.bf16)
    return openvino.Tensor(array, shared_memory=True)
