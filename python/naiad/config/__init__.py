"""Model configurations: parse, complete, validate, print. ``resolve`` does it all in order."""

from naiad.config.complete import (
    DEFAULT_MAX_BATCH_SIZE,
    FoundTensor,
    FoundTensors,
    complete_backend,
    complete_defaults,
    complete_scheduler,
    complete_tensors,
    fill_tensors,
)
from naiad.config.parse import from_dict, parse_json, parse_pbtxt
from naiad.config.print import to_json, to_pbtxt
from naiad.config.resolve import BackendCompletion, resolve
from naiad.config.types import (
    AllVersions,
    DynamicBatching,
    InstanceGroup,
    LatestVersions,
    ModelConfig,
    SpecificVersions,
    TensorConfig,
    VersionPolicy,
    config_data_type,
    wire_datatype,
)
from naiad.config.unsupported import ServerOptions, ignored_hints, refuse_unsupported, unsupported_fields
from naiad.config.validate import is_inside, validate

__all__ = [
    "DEFAULT_MAX_BATCH_SIZE",
    "AllVersions",
    "BackendCompletion",
    "DynamicBatching",
    "FoundTensor",
    "FoundTensors",
    "InstanceGroup",
    "LatestVersions",
    "ModelConfig",
    "ServerOptions",
    "SpecificVersions",
    "TensorConfig",
    "VersionPolicy",
    "complete_backend",
    "complete_defaults",
    "complete_scheduler",
    "complete_tensors",
    "config_data_type",
    "fill_tensors",
    "from_dict",
    "ignored_hints",
    "is_inside",
    "parse_json",
    "parse_pbtxt",
    "refuse_unsupported",
    "resolve",
    "to_json",
    "to_pbtxt",
    "unsupported_fields",
    "validate",
    "wire_datatype",
]
