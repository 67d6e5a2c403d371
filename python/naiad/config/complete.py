"""Fills in what a configuration leaves out, with the defaults that Triton has.

Three steps, in this order: ``complete_backend`` (name, backend, platform, file name, from the directory),
``complete_tensors`` (inputs, outputs and batching, from what a backend found in the model; a backend may do
its part in another way), ``complete_defaults`` (policies, instances). Each changes the message it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naiad import protos
from naiad.errors import ConfigError

_KIND = protos.ModelInstanceGroup
_TYPES = protos.pool.FindEnumTypeByName("inference.DataType").values_by_name

DEFAULT_MAX_BATCH_SIZE = 4
"""For a model that can batch and whose configuration does not say how far."""

_CPU_INSTANCES = {"onnxruntime": 2}
"""Instances of a KIND_CPU group without a count, where it is not 1."""


@dataclass(frozen=True)
class _Format:
    """A kind of model file: the backend that reads it, and the names by which a configuration asks for it."""

    backend: str
    filename: str
    platforms: tuple[str, ...] = ()
    """The first one is filled in for a model that names none."""


# In the order in which the files of a version directory are looked for. A backend with two formats takes the
# first one unless the platform or a file says otherwise.
_FORMATS = (
    _Format("tensorflow", "model.savedmodel", ("tensorflow_savedmodel",)),
    _Format("tensorflow", "model.graphdef", ("tensorflow_graphdef",)),
    _Format("tensorrt", "model.plan", ("tensorrt_plan",)),
    _Format("onnxruntime", "model.onnx", ("onnxruntime_onnx",)),
    _Format("openvino", "model.xml"),
    _Format("pytorch", "model.pt", ("pytorch_libtorch", "libtorch")),
    _Format("pytorch", "model.pt2", ("torch_aoti",)),
    _Format("python", "model.py"),
)

VLLM_FILE = "model.json"
"""Tells of a model of vLLM where nothing else is said; Triton wants the backend named."""

BACKEND_OF_PLATFORM = {platform: format.backend for format in _FORMATS for platform in format.platforms}
"""The platforms that are known; each belongs to one backend. (``ensemble`` has none.)"""


def complete_backend(message: Any, *, model_name: str, filenames: Sequence[str] = ()) -> None:
    """Sets name, backend, platform and default_model_filename where they are empty.

    ``model_name`` is the name of the model directory, ``filenames`` what lies in its first version directory.
    Raises ConfigError when nothing tells the backend.
    """
    if not message.name:
        message.name = model_name
    if message.platform == "ensemble" or message.HasField("ensemble_scheduling"):
        if not message.backend and not message.platform:
            message.platform = "ensemble"
        return
    format = _format_of(message, filenames)
    if format is not None:
        message.backend = format.backend
        message.platform = message.platform or next(iter(format.platforms), "")
        message.default_model_filename = message.default_model_filename or format.filename
    elif not (message.backend or message.platform or message.default_model_filename):
        if VLLM_FILE in filenames:
            message.backend = "vllm"
        else:
            _complete_custom_backend(message, model_name)


def _format_of(message: Any, filenames: Sequence[str]) -> _Format | None:
    backend, platform, filename = message.backend, message.platform, message.default_model_filename
    if backend:
        own = [format for format in _FORMATS if format.backend == backend]
        for format in own:
            if platform in format.platforms or (not platform and format.filename == filename):
                return format
        if platform:
            return None  # a platform of another backend is validate's to refuse
        return next((format for format in own if format.filename in filenames), own[0] if own else None)
    if platform:
        return next((format for format in _FORMATS if platform in format.platforms), None)
    if filename:
        return next((format for format in _FORMATS if format.filename == filename), None)
    return next((format for format in _FORMATS if format.filename in filenames), None)


def _complete_custom_backend(message: Any, model_name: str) -> None:
    _, dot, backend = model_name.partition(".")
    if not dot or not backend:
        raise ConfigError(
            f"Invalid model name: Could not determine backend for model '{model_name}' with no backend in "
            f"model "
            "configuration. Expected model name of the form 'model.<backend_name>'.",
            field="backend",
        )
    message.backend = backend
    message.default_model_filename = f"model.{backend}"


@dataclass(frozen=True)
class FoundTensor:
    """An input or output as the model file declares it."""

    name: str
    data_type: str
    """TYPE_FP32 ..."""
    shape: tuple[int, ...]
    """All dimensions, a batch dimension included; -1 is any size; () is a scalar."""


@dataclass(frozen=True)
class FoundTensors:
    """What a backend found in a model file, in the order of the model."""

    inputs: tuple[FoundTensor, ...]
    outputs: tuple[FoundTensor, ...]

    @property
    def can_batch(self) -> bool:
        """Every tensor has a first dimension, and of any size."""
        return all(tensor.shape[:1] == (-1,) for tensor in (*self.inputs, *self.outputs))


def complete_tensors(
    message: Any, found: FoundTensors, *, default_max_batch_size: int = DEFAULT_MAX_BATCH_SIZE
) -> None:
    """Fills inputs and outputs which the configuration leaves out, by what the model file declares.

    A configuration with both is trusted on whether the model batches: only data types and dims missing from
    its entries are filled. Otherwise a model that can batch gets a max_batch_size, and above 1 the dynamic
    batcher unless a scheduler is chosen. Raises ConfigError when the model cannot batch and the configuration
    wants it to.
    """
    if not (message.input and message.output):
        _complete_batching(message, found, default_max_batch_size)
    fill_tensors(message, found)


def complete_scheduler(message: Any) -> None:
    """Triton's choice for a model that batches and says nothing: the dynamic batcher."""
    if message.max_batch_size > 1 and message.WhichOneof("scheduling_choice") is None:
        message.dynamic_batching.SetInParent()


def fill_tensors(message: Any, found: FoundTensors) -> None:
    """The part of ``complete_tensors`` that is about inputs and outputs: whether the model batches is what
    its max_batch_size says.
    """
    batches = message.max_batch_size > 0
    sequence = message.sequence_batching
    scheduled = {control.name for control in sequence.control_input} | {s.input_name for s in sequence.state}
    scheduled |= {name for made in message.batch_input for name in made.target_name}
    kept = {state.output_name for state in sequence.state}
    _merge(message.input, found.inputs, batches, scheduled)
    _merge(message.output, found.outputs, batches, kept)


def _complete_batching(message: Any, found: FoundTensors, default_max_batch_size: int) -> None:
    if not found.can_batch:
        if message.max_batch_size > 0:
            raise ConfigError(
                f"autofill failed for model '{message.name}': model does not support batching while non-zero "
                f"max_batch_size is specified. {_why_not_batching(found)}",
                field="max_batch_size",
            )
        return
    if message.max_batch_size == 0:
        message.max_batch_size = max(0, default_max_batch_size)
    complete_scheduler(message)


def _why_not_batching(found: FoundTensors) -> str:
    tensor = next(t for t in (*found.inputs, *found.outputs) if t.shape[:1] != (-1,))
    return (
        "For the model to support batching the shape should have at least 1 dimension and the first "
        "dimension must "
        f"be -1; tensor '{tensor.name}' has shape {list(tensor.shape)}"
    )


def _merge(given: Any, found: tuple[FoundTensor, ...], batches: bool, scheduled: set[str]) -> None:
    """``scheduled``: those that are between the sequence batcher and the model."""
    if not given:
        for declared in found:
            if declared.name not in scheduled:
                given.add(name=declared.name)
    by_name = {tensor.name: tensor for tensor in found}
    for entry in given:
        tensor = by_name.get(entry.name)
        if tensor is None:
            continue  # the backend refuses a name which the model does not have
        if not entry.data_type:
            entry.data_type = _TYPES[tensor.data_type].number
        if not entry.dims:
            dims = tensor.shape[1:] if batches else tensor.shape
            entry.dims.extend(dims or (1,))
            # A scalar per row is written as [1] in a request and taken away again for the model.
            if not dims and batches and not entry.HasField("reshape"):
                entry.reshape.SetInParent()


def complete_defaults(message: Any, *, num_gpus: int = 0) -> None:
    """Sets the policies and instance groups that a configuration leaves out.

    ``num_gpus`` counts the GPUs on which the backend of the model can execute; 0 makes KIND_AUTO mean the
    CPU. Doing it twice changes nothing.
    """
    if message.version_policy.WhichOneof("policy_choice") is None:
        message.version_policy.latest.num_versions = 1
    _complete_scheduler(message)
    if message.HasField("ensemble_scheduling") or message.platform == "ensemble":
        message.model_transaction_policy.SetInParent()
        return
    for pinned in ("input_pinned_memory", "output_pinned_memory"):
        if not message.optimization.HasField(pinned):
            getattr(message.optimization, pinned).enable = True
    _complete_instance_groups(message, num_gpus)


def _complete_scheduler(message: Any) -> None:
    if message.HasField("dynamic_batching"):
        preferred = message.dynamic_batching.preferred_batch_size
        if not preferred and message.max_batch_size > 0:
            preferred.append(message.max_batch_size)
    elif message.HasField("sequence_batching"):
        batching = message.sequence_batching
        if batching.max_sequence_idle_microseconds == 0:
            batching.max_sequence_idle_microseconds = 1_000_000
        if batching.HasField("oldest"):
            preferred = batching.oldest.preferred_batch_size
            if not preferred and message.max_batch_size > 0:
                preferred.append(message.max_batch_size)


def _complete_instance_groups(message: Any, num_gpus: int) -> None:
    if not message.instance_group:
        # Only the group that nobody wrote is called like the model.
        message.instance_group.add(name=message.name)
    for index, group in enumerate(message.instance_group):
        if not group.name:
            group.name = f"{message.name}_{index}"
        if group.kind == _KIND.KIND_AUTO:
            present = num_gpus > 0 and all(0 <= gpu < num_gpus for gpu in group.gpus)
            group.kind = _KIND.KIND_GPU if present else _KIND.KIND_CPU
        if group.kind == _KIND.KIND_GPU and not group.gpus:
            group.gpus.extend(range(num_gpus))
        if group.count < 1:
            group.count = _CPU_INSTANCES.get(message.backend, 1) if group.kind == _KIND.KIND_CPU else 1
