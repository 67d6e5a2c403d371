"""From ``model_warmup`` to the samples that the core runs on each instance before it serves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from naiad import protos
from naiad.config import ModelConfig, wire_datatype
from naiad.engine import WarmupSample
from naiad.errors import ConfigError

_TYPES = protos.pool.FindEnumTypeByName("inference.DataType")
WARMUP_DIRECTORY = "warmup"
_BYTES_OF = {
    **dict.fromkeys(("BOOL", "INT8", "UINT8"), 1),
    **dict.fromkeys(("INT16", "UINT16", "FP16", "BF16"), 2),
    **dict.fromkeys(("INT32", "UINT32", "FP32"), 4),
    **dict.fromkeys(("INT64", "UINT64", "FP64"), 8),
    "BYTES": 4,  # an empty text is its length
}


def warmup_samples(
    config: ModelConfig, inputs: tuple[str, ...], read: Callable[[str], bytes]
) -> list[WarmupSample]:
    """``inputs``: the names of the core's inputs, in order. ``read`` gives the bytes of a file of the model's
    directory by its name there. Raises ConfigError, or InvalidArgument for a file outside of the model.
    """
    samples = []
    for setting in config.proto.model_warmup:
        _refuse_batch(config, setting)
        sample = WarmupSample(
            setting.name, num_requests=max(1, setting.batch_size), count=max(1, setting.count)
        )
        for name, value in sorted(setting.inputs.items()):
            if name not in inputs:
                raise ConfigError(
                    f"warmup sample '{setting.name}' has an input '{name}' that model '{config.name}' lacks",
                    field="model_warmup.inputs",
                )
            _add_input(sample, config, inputs.index(name), name, value, read)
        samples.append(sample)
    return samples


def _refuse_batch(config: ModelConfig, setting: Any) -> None:
    most = max(1, config.max_batch_size)
    if setting.batch_size > most:
        raise ConfigError(
            f"warmup sample '{setting.name}' has batch_size {setting.batch_size}, but model '{config.name}' "
            f"runs at most {most} at a time",
            field="model_warmup.batch_size",
        )


def _add_input(
    sample: WarmupSample,
    config: ModelConfig,
    index: int,
    name: str,
    value: Any,
    read: Callable[[str], bytes],
) -> None:
    datatype = wire_datatype(_TYPES.values_by_number[value.data_type].name)
    dims = tuple(value.dims)
    if any(dim < 0 for dim in dims):
        raise ConfigError(
            f"warmup setting expects all variable-size dimensions are specified for input '{name}' for model "
            f"'{config.name}'",
            field="model_warmup.inputs.dims",
        )
    declared = next((tensor for tensor in config.inputs if tensor.name == name), None)
    if declared is not None and datatype != declared.datatype:
        raise ConfigError(
            f"warmup sample has data type {datatype} for input '{name}' of model '{config.name}', whose data "
            f"type is {declared.datatype}",
            field="model_warmup.inputs.data_type",
        )
    size = math.prod(dims) * _BYTES_OF[datatype]
    kind = value.WhichOneof("input_data_type")
    if kind is None:
        raise ConfigError(
            f"warmup setting expects input '{name}' to have input_data_type set for model '{config.name}'",
            field="model_warmup.inputs.input_data_type",
        )
    if kind == "input_data_file":
        content = _content(config, read, value.input_data_file, None if datatype == "BYTES" else size)
    elif kind == "random_data" and datatype != "BYTES":
        content = _random(datatype, math.prod(dims))
    else:
        content = bytes(size)
    shape = _backend_dims(dims, declared.reshape if declared is not None else None)
    has_rows = config.max_batch_size > 0 and not (declared is not None and declared.is_shape_tensor)
    lead = (1,) if has_rows else ()
    sample.add_input(index, datatype=datatype, shape=(*lead, *shape), content=content)


def _content(config: ModelConfig, read: Callable[[str], bytes], name: str, size: int | None) -> bytes:
    try:
        content = read(f"{WARMUP_DIRECTORY}/{name}")
    except OSError as error:
        raise ConfigError(
            f"warmup file '{name}' of model '{config.name}' can not be read: {error.strerror}",
            field="model_warmup.inputs.input_data_file",
        ) from error
    if size is None:
        return content
    if len(content) < size:
        raise ConfigError(
            f"warmup setting expects {size} bytes, but the data provided from {name} only has {len(content)} "
            f"bytes",
            field="model_warmup.inputs.input_data_file",
        )
    return content[:size]


def _random(datatype: str, count: int) -> bytes:
    """Numbers that any model can take: floats in [0, 1), small integers."""
    random = np.random.default_rng()
    if datatype == "BF16":
        return bytes((random.random(count, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes())
    if datatype.startswith("FP"):
        return bytes(random.random(count).astype(f"f{_BYTES_OF[datatype]}").tobytes())
    highest = 2 if datatype == "BOOL" else 128
    kind = "u" if datatype.startswith("U") or datatype == "BOOL" else "i"
    return bytes(random.integers(0, highest, count).astype(f"{kind}{_BYTES_OF[datatype]}").tobytes())


def _backend_dims(dims: tuple[int, ...], reshape: tuple[int, ...] | None) -> tuple[int, ...]:
    """What the backend sees of ``dims``: a free size of ``reshape`` is what the others leave."""
    if reshape is None:
        return dims
    fixed = math.prod(dim for dim in reshape if dim >= 0)
    return tuple(dim if dim >= 0 else math.prod(dims) // max(1, fixed) for dim in reshape)
