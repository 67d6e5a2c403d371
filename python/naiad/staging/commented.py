"""A config.pbtxt to be edited: what the model says, and beside it what else one may want to say."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from naiad.config import ModelConfig

_INTRODUCTION = """\
# The configuration of model '{name}', made from {source}.
# Lines that begin with # are suggestions. `naiad repo check` says what is wrong with it.
name: "{name}"
backend: "{backend}"
"""
_BATCHING = """
# A request may bring up to so many rows, and requests that wait are joined to as many. 0: the model takes no
# batches, and dims below are whole shapes.
max_batch_size: {size}
"""
_INPUTS = """
# What requests bring and get. dims are without the batch dimension where the model batches; -1 is any size.
"""
_NO_TENSORS = """
# The file does not say what its tensors are, and {why}. Write them down, without the batch dimension where
# max_batch_size is 1 or more; -1 is any size:
# input [ {{ name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }} ]
# output [ {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 1000 ] }} ]
"""
_OF_CODE = """
# auto_complete_config in model.py may say this; if it does not:
# input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]
# output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
_DYNAMIC = """
# Joins requests to batches. With a delay it waits for fuller ones: more throughput, more latency.
{commented}dynamic_batching {{ max_queue_delay_microseconds: 0 }}
"""
_REST = """
# Batches that run at the same time, and where.
# instance_group [ { count: 1 kind: KIND_CPU } ]
# instance_group [ { count: 1 kind: KIND_GPU gpus: [ 0 ] } ]

# Which folders of versions are served.
# version_policy { latest { num_versions: 1 } }

# Equal requests get the answer that is kept (naiad serve --cache-config=local,size=BYTES).
# response_cache { enable: true }
"""
_OWN = {
    "onnxruntime": """
# Threads of one batch; 0: as many as there are processors.
# parameters { key: "intra_op_thread_count" value { string_value: "0" } }
""",
    "pytorch": """
# "thread" is quicker, and lets a fault of the model take the server down.
# parameters { key: "isolation" value { string_value: "process" } }
""",
    "python": """
# "thread" is quicker, and lets a fault of the model take the server down.
# parameters { key: "isolation" value { string_value: "process" } }
""",
}
_LANGUAGE_MODEL = """\
# The configuration of language model '{name}', made from {source}.
# The engine's arguments are in 1/model.json, by vLLM's names; inputs and outputs are the backend's own.
name: "{name}"
backend: "vllm"

# One engine, which takes the GPUs that tensor_parallel_size in 1/model.json says.
instance_group [ {{ count: 1 kind: KIND_MODEL }} ]
"""


def commented_config(config: ModelConfig, source: str, *, unknown: str = "") -> str:
    """``source``: the name of the file or folder. ``unknown``: why the tensors of a file of torch are not
    known.
    """
    message = config.proto
    if message.backend == "vllm":
        return _LANGUAGE_MODEL.format(name=message.name, source=source)
    parts = [_INTRODUCTION.format(name=message.name, source=source, backend=message.backend)]
    if message.default_model_filename == "model.pt2":
        parts.append('default_model_filename: "model.pt2"\n')
    parts.append(_BATCHING.format(size=message.max_batch_size))
    if message.input and message.output:
        parts.append(_INPUTS + _tensors("input", message.input) + _tensors("output", message.output))
    elif unknown:
        parts.append(_NO_TENSORS.format(why=unknown))
    else:
        parts.append(_OF_CODE)
    parts.append(_DYNAMIC.format(commented="" if message.HasField("dynamic_batching") else "# "))
    parts.append(_OWN.get(message.backend, "") + _REST)
    return "".join(parts)


def _tensors(field: str, tensors: Any) -> str:
    printed = [
        text_format.MessageToString(
            tensor, as_one_line=True, as_utf8=True, use_short_repeated_primitives=True
        )
        for tensor in tensors
    ]
    return f"{field} [\n  " + ",\n  ".join(f"{{ {one.strip()} }}" for one in printed) + "\n]\n"
