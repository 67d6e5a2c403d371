"""A model that OpenVINO has read: its tensors, held against the configuration, and made ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openvino

from naiad.backends.model_tensors import ModelTensor, model_inputs, model_outputs
from naiad.backends.openvino.options import OpenVinoOptions
from naiad.backends.python.failure import encodable
from naiad.config import FoundTensor, FoundTensors, ModelConfig, config_data_type
from naiad.errors import ConfigError, Unsupported

DATATYPES = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "f32": "FP32",
    "f64": "FP64",
    "bf16": "BF16",
}
"""OpenVINO's type -> wire name. Texts are for its tokenizers, and are not served."""


class OpenVinoModel:
    """One file. Raises what OpenVINO raises."""

    def __init__(self, path: Path, name: str, options: OpenVinoOptions) -> None:
        """``name``: of the model, for what is said to clients."""
        self.core = openvino.Core()
        self._name = name
        self._options = options
        if options.extension:
            self.core.add_extension(options.extension)
        self._model = self.core.read_model(str(path))

    def free_batch(self, config: ModelConfig) -> None:
        """Makes the first dimension of all inputs free, where the model is to batch and the file fixes it;
        with ``RESHAPE_IO_LAYERS``, gives them the configuration's dims.
        """
        shapes: dict[Any, Any] = {}
        given = {tensor.name: tensor for tensor in model_inputs(config)}
        for port in self._model.inputs:
            shape = _dims(port)
            tensor = next((given[name] for name in port.names if name in given), None)
            if self._options.reshapes and tensor is not None:
                shape = tensor.shape
            elif config.max_batch_size > 0 and not self._options.fixed_batch and shape:
                shape = (-1, *shape[1:])
            shapes[port] = openvino.PartialShape(list(shape))
        if any(list(shape) != list(port.partial_shape) for port, shape in shapes.items()):
            self._model.reshape(shapes)

    def found(self) -> FoundTensors:
        """For auto-completion."""
        return FoundTensors(
            inputs=tuple(self._found(port) for port in self._model.inputs),
            outputs=tuple(self._found(port) for port in self._model.outputs),
        )

    def check(self, config: ModelConfig) -> None:
        """Raises ConfigError where configuration and file contradict each other."""
        inputs, outputs = model_inputs(config), model_outputs(config)
        places = self.places(inputs, self._model.inputs, "input")
        self.places(outputs, self._model.outputs, "output")
        missing = [_name(port) for k, port in enumerate(self._model.inputs) if k not in places]
        if missing:
            raise ConfigError(
                f"model '{self._name}': no input is given for {', '.join(missing)}", field="input"
            )
        if config.max_batch_size > 0 and self._options.fixed_batch:
            self._check_batch(config.max_batch_size)

    def _check_batch(self, max_batch_size: int) -> None:
        for port in (*self._model.inputs, *self._model.outputs):
            if _dims(port)[:1] != (max_batch_size,):
                raise ConfigError(
                    f"model '{self._name}': with SKIP_OV_DYNAMIC_BATCHSIZE the first dimension of every "
                    f"tensor is max_batch_size ({max_batch_size}), but '{_name(port)}' has shape "
                    f"{list(_dims(port))}",
                    field="max_batch_size",
                )

    def places(self, tensors: Sequence[ModelTensor], ports: Sequence[Any], what: str) -> list[int]:
        """Which of the model's ports each tensor is, by any of its names. Raises ConfigError."""
        found = []
        for tensor in tensors:
            place = next((k for k, port in enumerate(ports) if tensor.name in port.names), None)
            if place is None:
                raise ConfigError(
                    f"model '{self._name}': there is no {what} '{tensor.name}' in the file; there are: "
                    + ", ".join(_name(port) for port in ports),
                    field=what,
                )
            self._check_port(tensor, ports[place], what)
            found.append(place)
        return found

    def compile(self) -> Any:
        """For the device of the options. Raises Unsupported where there is no such device."""
        kinds = {device.partition(".")[0] for device in self.core.available_devices}
        wanted = self._options.device.partition(":")[0].partition(".")[0]
        if wanted not in kinds | {"AUTO", "MULTI", "HETERO", "BATCH"}:
            raise Unsupported(
                f"model '{self._name}': TARGET_DEVICE '{self._options.device}' is not there; there are: "
                + ", ".join(sorted(kinds))
            )
        return self.core.compile_model(self._model, self._options.device, dict(self._options.properties))

    @property
    def inputs(self) -> Sequence[Any]:
        ports: Sequence[Any] = self._model.inputs
        return ports

    @property
    def outputs(self) -> Sequence[Any]:
        ports: Sequence[Any] = self._model.outputs
        return ports

    def _found(self, port: Any) -> FoundTensor:
        name = _name(port)
        datatype = DATATYPES.get(port.element_type.get_type_name())
        if datatype is None or port.partial_shape.rank.is_dynamic:
            kind = port.element_type.get_type_name()
            raise Unsupported(
                f"model '{self._name}': tensor '{name}' has type {kind} and shape {port.partial_shape}, "
                "which is not served"
            )
        return FoundTensor(name, config_data_type(datatype), _dims(port))

    def _check_port(self, tensor: ModelTensor, port: Any, what: str) -> None:
        kind = port.element_type.get_type_name()
        place = f"model '{self._name}': {what} '{tensor.name}'"
        if DATATYPES.get(kind) != tensor.datatype:
            raise ConfigError(
                f"{place} is {tensor.datatype} in the configuration, but {DATATYPES.get(kind, kind)} in the "
                "file",
                field=f"{what}.data_type",
            )
        if port.partial_shape.rank.is_dynamic:
            return
        dims = _dims(port)
        if tensor.shape == (1,) and not dims:
            return  # a scalar, which a configuration has no word for
        fits = len(dims) == len(tensor.shape) and all(
            -1 in (own, given) or own == given for own, given in zip(dims, tensor.shape, strict=True)
        )
        if not fits:
            raise ConfigError(
                f"{place} has shape {list(tensor.shape)} in the configuration, but {list(dims)} in the file",
                field=f"{what}.dims",
            )


def _dims(port: Any) -> tuple[int, ...]:
    if port.partial_shape.rank.is_dynamic:
        return ()
    return tuple(-1 if dim.is_dynamic else dim.get_length() for dim in port.partial_shape)


def _name(port: Any) -> str:
    """One of its names: the first by the alphabet, so that it is the same each time."""
    return min(port.names) if port.names else ""


def is_scalar(port: Any) -> bool:
    """Whether its tensor has no dimensions."""
    return bool(port.partial_shape.rank.is_static) and not _dims(port)


def said_by(error: Exception) -> str:
    """What OpenVINO says, without the places in its own sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return encodable(" ".join(kept) or f"{type(error).__name__}")
