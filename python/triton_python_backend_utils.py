"""What model.py files written for Triton's Python backend import, usually as ``pb_utils``.

The names and behaviour are those of Triton's Python backend; the docstrings at their definitions say where
naiad differs. Names of what this version does not serve exist and say so, by name, when they are used.
"""

from __future__ import annotations

from naiad.backends.python.calls import ResponseIterator, is_model_ready, load_model, unload_model
from naiad.backends.python.datatypes import (
    TRITON_STRING_TO_NUMPY,
    numpy_to_triton_type,
    triton_string_to_numpy,
    triton_to_numpy_type,
)
from naiad.backends.python.failure import TritonError, TritonErrorCode, TritonModelException
from naiad.backends.python.inference_request import (
    InferenceRequest,
    InferenceTrace,
    MemoryType,
    PreferredMemory,
    get_input_tensor_by_name,
)
from naiad.backends.python.inference_response import InferenceResponse, get_output_tensor_by_name
from naiad.backends.python.logger import Logger, LogLevel
from naiad.backends.python.metric_family import MetricFamily
from naiad.backends.python.model_config import (
    ModelConfig,
    get_input_config_by_name,
    get_output_config_by_name,
    using_decoupled_model_transaction_policy,
)
from naiad.backends.python.model_modules import calling_model_directory
from naiad.backends.python.response_sender import InferenceResponseSender
from naiad.backends.python.tensor import Tensor, deserialize_bytes_tensor, serialize_byte_tensor
from naiad.errors import NotFound

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_REQUEST_RELEASE_ALL = 1
TRITONSERVER_REQUEST_RELEASE_RESCHEDULE = 2
TRITONSERVER_MEMORY_GPU = MemoryType.TRITONSERVER_MEMORY_GPU
TRITONSERVER_MEMORY_CPU = MemoryType.TRITONSERVER_MEMORY_CPU

deserialize_byte_tensor = deserialize_bytes_tensor


def get_model_dir() -> str:
    """The version directory of the model that calls. Raises NotFound outside of a model's code."""
    directory = calling_model_directory()
    if directory is None:
        raise NotFound("get_model_dir: not called from the code of a model")
    return directory


__all__ = [
    "TRITONSERVER_MEMORY_CPU",
    "TRITONSERVER_MEMORY_GPU",
    "TRITONSERVER_REQUEST_FLAG_SEQUENCE_END",
    "TRITONSERVER_REQUEST_FLAG_SEQUENCE_START",
    "TRITONSERVER_REQUEST_RELEASE_ALL",
    "TRITONSERVER_REQUEST_RELEASE_RESCHEDULE",
    "TRITONSERVER_RESPONSE_COMPLETE_FINAL",
    "TRITON_STRING_TO_NUMPY",
    "InferenceRequest",
    "InferenceResponse",
    "InferenceResponseSender",
    "InferenceTrace",
    "LogLevel",
    "Logger",
    "MemoryType",
    "MetricFamily",
    "ModelConfig",
    "PreferredMemory",
    "ResponseIterator",
    "Tensor",
    "TritonError",
    "TritonErrorCode",
    "TritonModelException",
    "deserialize_byte_tensor",
    "deserialize_bytes_tensor",
    "get_input_config_by_name",
    "get_input_tensor_by_name",
    "get_model_dir",
    "get_output_config_by_name",
    "get_output_tensor_by_name",
    "is_model_ready",
    "load_model",
    "numpy_to_triton_type",
    "serialize_byte_tensor",
    "triton_string_to_numpy",
    "triton_to_numpy_type",
    "unload_model",
    "using_decoupled_model_transaction_policy",
]
