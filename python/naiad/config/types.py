"""The typed view of a model configuration which the other rooms use in place of the protobuf message."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from naiad import protos
from naiad.config.batching_parameters import latency_target_us, splits_oversize
from naiad.config.gpu_inputs import wants_gpu_inputs
from naiad.config.gpu_memory_limit import gpu_memory_limit_bytes
from naiad.config.metric_controls import first_response_buckets_ms
from naiad.config.print import to_json, to_pbtxt

_DATA_TYPES = protos.pool.FindEnumTypeByName("inference.DataType")
_KINDS = protos.pool.FindEnumTypeByName("inference.ModelInstanceGroup.Kind")


def wire_datatype(data_type: str) -> str:
    """TYPE_FP32 -> FP32, TYPE_STRING -> BYTES: the name of a datatype in requests and metadata."""
    return "BYTES" if data_type == "TYPE_STRING" else data_type.removeprefix("TYPE_")


def config_data_type(datatype: str) -> str:
    """FP32 -> TYPE_FP32, BYTES -> TYPE_STRING: the name of a datatype in a configuration."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


@dataclass(frozen=True)
class TensorConfig:
    """One input or output. ``dims`` has no batch dimension where the model batches; -1 is any size."""

    name: str
    data_type: str
    """As in the configuration: TYPE_FP32."""
    dims: tuple[int, ...]
    reshape: tuple[int, ...] | None
    """What the backend sees in place of ``dims``, again without batch dimension; None: the same."""
    optional: bool
    """An output is never optional."""
    allow_ragged_batch: bool
    is_shape_tensor: bool
    """Its values set shapes of the model's. As an input it has no batch dimension."""
    is_non_linear_format_io: bool
    """Its elements lie in the order that the framework wants, not row by row."""
    label_filename: str
    """Of an output, within the model directory; empty when there is none."""

    @property
    def datatype(self) -> str:
        """As on the wire: FP32, BYTES."""
        return wire_datatype(self.data_type)

    @property
    def backend_dims(self) -> tuple[int, ...]:
        """The dims that the backend sees."""
        return self.dims if self.reshape is None else self.reshape


@dataclass(frozen=True)
class InstanceGroup:
    """Instances of one kind: ``count`` of them, on each of ``gpus`` for KIND_GPU."""

    name: str
    kind: str
    """KIND_CPU, KIND_GPU, KIND_MODEL; KIND_AUTO only before ``complete_defaults``."""
    count: int
    gpus: tuple[int, ...]
    passive: bool
    profiles: tuple[str, ...] = ()
    """The optimization profiles of TensorRT that its instances use."""
    dla_cores: tuple[int, ...] = ()
    """Of its secondary devices, which are NVIDIA's deep learning accelerators."""

    @property
    def instance_names(self) -> tuple[str, ...]:
        """``<group>_<i>``, the names in logs and statistics."""
        return tuple(f"{self.name}_{index}" for index in range(self.count * max(1, len(self.gpus))))


@dataclass(frozen=True)
class DynamicBatching:
    """How requests are joined to batches."""

    preferred_batch_sizes: tuple[int, ...]
    max_queue_delay_us: int
    preserve_ordering: bool
    max_queue_size: int
    """0: no bound."""


@dataclass(frozen=True)
class LatestVersions:
    """The ``count`` highest versions."""

    count: int


@dataclass(frozen=True)
class AllVersions:
    """Every version there is."""


@dataclass(frozen=True)
class SpecificVersions:
    """These versions, as many of them as there are."""

    versions: tuple[int, ...]


VersionPolicy = LatestVersions | AllVersions | SpecificVersions


@dataclass(frozen=True, eq=False)
class ModelConfig:
    """A configuration, read-only. Any thread may read it.

    ``proto`` is the whole message, of which every field is kept; who wants to change one works on
    ``copy_proto()``.
    """

    proto: Any

    @classmethod
    def of(cls, message: Any) -> ModelConfig:
        """A view of a copy of ``message``."""
        copy = protos.ModelConfig()
        copy.CopyFrom(message)
        return cls(copy)

    def copy_proto(self) -> Any:
        """A message of its own, to change and wrap again with ``ModelConfig.of``."""
        copy = protos.ModelConfig()
        copy.CopyFrom(self.proto)
        return copy

    def to_json(self) -> dict[str, Any]:
        """What ``GET /v2/models/{m}/config`` answers."""
        return to_json(self.proto)

    def to_pbtxt(self) -> str:
        """The text of a config.pbtxt."""
        return to_pbtxt(self.proto)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelConfig) and bool(self.proto == other.proto)

    __hash__ = None  # type: ignore[assignment]

    @property
    def name(self) -> str:
        return str(self.proto.name)

    @property
    def platform(self) -> str:
        return str(self.proto.platform)

    @property
    def backend(self) -> str:
        return str(self.proto.backend)

    @property
    def max_batch_size(self) -> int:
        """0: the model does not batch, and dims are full shapes."""
        return int(self.proto.max_batch_size)

    @property
    def default_model_filename(self) -> str:
        return str(self.proto.default_model_filename)

    @property
    def is_ensemble(self) -> bool:
        return self.platform == "ensemble"

    @property
    def decoupled(self) -> bool:
        return bool(self.proto.model_transaction_policy.decoupled)

    @cached_property
    def inputs(self) -> tuple[TensorConfig, ...]:
        return tuple(
            _tensor(io, optional=io.optional, ragged=io.allow_ragged_batch) for io in self.proto.input
        )

    @cached_property
    def outputs(self) -> tuple[TensorConfig, ...]:
        return tuple(_tensor(io, label_filename=io.label_filename) for io in self.proto.output)

    def input(self, name: str) -> TensorConfig | None:
        """The input of that name."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> TensorConfig | None:
        """The output of that name."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)

    def wire_shape(self, tensor: TensorConfig) -> tuple[int, ...]:
        """The shape in metadata and requests: with the batch dimension, as -1, where the model batches."""
        return (-1, *tensor.dims) if self.max_batch_size > 0 else tensor.dims

    @cached_property
    def instance_groups(self) -> tuple[InstanceGroup, ...]:
        return tuple(
            InstanceGroup(
                name=group.name,
                kind=_KINDS.values_by_number[group.kind].name,
                count=group.count,
                gpus=tuple(group.gpus),
                passive=group.passive,
                profiles=tuple(group.profile),
                dla_cores=tuple(device.device_id for device in group.secondary_devices),
            )
            for group in self.proto.instance_group
        )

    def group_of(self, instance: str) -> InstanceGroup | None:
        """The group that has the instance of that name."""
        return next((group for group in self.instance_groups if instance in group.instance_names), None)

    @property
    def num_instances(self) -> int:
        """Over all groups."""
        return sum(len(group.instance_names) for group in self.instance_groups)

    @cached_property
    def dynamic_batching(self) -> DynamicBatching | None:
        """None: requests are executed one by one."""
        if not self.proto.HasField("dynamic_batching"):
            return None
        batching = self.proto.dynamic_batching
        return DynamicBatching(
            preferred_batch_sizes=tuple(batching.preferred_batch_size),
            max_queue_delay_us=batching.max_queue_delay_microseconds,
            preserve_ordering=batching.preserve_ordering,
            max_queue_size=batching.default_queue_policy.max_queue_size,
        )

    @property
    def splits_oversize(self) -> bool:
        """Whether a batch over ``max_batch_size`` is run in parts."""
        return splits_oversize(self.proto)

    @property
    def latency_target_us(self) -> int:
        """What queue and compute may take, where the queue delay is found by itself; 0: it is not."""
        return latency_target_us(self.proto)

    @property
    def gpu_memory_limit_bytes(self) -> int:
        """What it may have of the core's pool on each GPU; 0: no limit."""
        return gpu_memory_limit_bytes(self.proto)

    @property
    def wants_gpu_inputs(self) -> bool:
        """Whether a model in Python takes inputs that lie on a GPU as they are."""
        return wants_gpu_inputs(self.proto)

    @cached_property
    def version_policy(self) -> VersionPolicy:
        """The one latest version unless something else is said."""
        policy = self.proto.version_policy
        match policy.WhichOneof("policy_choice"):
            case "all":
                return AllVersions()
            case "specific":
                return SpecificVersions(tuple(policy.specific.versions))
            case "latest":
                return LatestVersions(policy.latest.num_versions)
            case _:
                return LatestVersions(1)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """For the backend; a copy of the strings of the ``parameters`` map."""
        return {key: self.proto.parameters[key].string_value for key in sorted(self.proto.parameters)}

    @cached_property
    def metric_tags(self) -> dict[str, str]:
        """Further labels on every metric of the model."""
        return {key: self.proto.metric_tags[key] for key in sorted(self.proto.metric_tags)}

    @cached_property
    def first_response_buckets_ms(self) -> tuple[float, ...]:
        """Bounds of the histogram of the time to the first response, ascending."""
        return first_response_buckets_ms(self.proto)


def _tensor(
    io: Any, *, optional: bool = False, ragged: bool = False, label_filename: str = ""
) -> TensorConfig:
    return TensorConfig(
        name=io.name,
        data_type=_DATA_TYPES.values_by_number[io.data_type].name,
        dims=tuple(io.dims),
        reshape=tuple(io.reshape.shape) if io.HasField("reshape") else None,
        optional=optional,
        allow_ragged_batch=ragged,
        is_shape_tensor=io.is_shape_tensor,
        is_non_linear_format_io=io.is_non_linear_format_io,
        label_filename=label_filename,
    )
