"""The models that both servers run: they write down what they are given."""

from __future__ import annotations

from pathlib import Path

_IO = """
backend: "python"
max_batch_size: %d
input [ { name: "TAG" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ -1 ] } ]
%s
"""

# Below zero: a failure. From 1000 on: stays until its file is there.
RECORDER = """
import json
import os
import time
import triton_python_backend_utils as pb_utils

CONTROLS = ("START", "END", "READY", "CORRID")


class TritonPythonModel:
    def initialize(self, args):
        self.directory = args["model_repository"]

    def execute(self, requests):
        tensors = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        # In a row without a request Triton has whatever lies in memory.
        ready = [int(each["READY"].ravel()[0]) if "READY" in each else 1 for each in tensors]
        tags = [int(each["TAG"].ravel()[0]) * there for each, there in zip(tensors, ready)]
        batch = {"tags": tags, "rows": [each["TAG"].shape[0] for each in tensors]}
        for name in CONTROLS:
            if name in tensors[0]:
                batch[name] = [int(each[name].ravel()[0]) for each in tensors]
        line = (json.dumps(batch) + "\\n").encode()
        log = os.open(self.directory + "/seen.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, line)
        os.close(log)
        for tag in tags:
            while tag >= 1000 and not os.path.exists(self.directory + "/released-%d" % tag):
                time.sleep(0.002)
        return [self.answer(tag, each["TAG"]) for tag, each in zip(tags, tensors)]

    def answer(self, tag, tensor):
        if tag < 0:
            error = pb_utils.TritonError("tag %d" % tag, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse([], error=error)
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", tensor)])
"""

_REPEAT = """
backend: "python"
input [ { name: "IN" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""

# One response for each element, then the end.
_REPEAT_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for value in pb_utils.get_input_tensor_by_name(request, "IN").as_numpy():
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", value.reshape(1))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

_IDENTITY = """
backend: "python"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""

_IDENTITY_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        arrays = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", array)]) for array in arrays]
"""

_SEQUENCES = """
sequence_batching {
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
    { name: "READY" control [ { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } ] },
    { name: "CORRID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] } ]
  max_sequence_idle_microseconds: 60000000
  %s
}
"""

_ENSEMBLE = """
platform: "ensemble"
max_batch_size: 4
input [ { name: "TAG" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ -1 ] } ]
ensemble_scheduling { step [
  { model_name: "first" model_version: -1
    input_map { key: "TAG" value: "TAG" } output_map { key: "OUT" value: "between" } },
  { model_name: "second" model_version: -1
    input_map { key: "TAG" value: "between" } output_map { key: "OUT" value: "OUT" } } ] }
"""


def _dynamic(fields: str, *, rows: int = 4, more: str = "") -> str:
    return _IO % (rows, f"dynamic_batching {{ {fields} }} {more or 'instance_group [ { kind: KIND_CPU } ]'}")


_TWO = "instance_group [ { kind: KIND_CPU count: 2 } ]"
_POLICY = "default_queue_policy { %s }"
_LEVELS = "priority_levels: 3 default_priority_level: 2"

CONFIGS = {
    "plain": _IO % (4, ""),
    "at_once": _dynamic(""),
    "delayed": _dynamic("max_queue_delay_microseconds: 1500000"),
    "preferred": _dynamic("preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 1500000", rows=8),
    "ordered": _dynamic("preserve_ordering: true", rows=1, more=_TWO),
    "unordered": _dynamic("", rows=1, more=_TWO),
    "levels": _dynamic(_LEVELS, rows=1),
    "bounded": _dynamic(_POLICY % "max_queue_size: 2", rows=1),
    "rejects": _dynamic(
        _POLICY % "default_timeout_microseconds: 400000 allow_timeout_override: true", rows=1
    ),
    "fixed_time": _dynamic(_POLICY % "default_timeout_microseconds: 400000", rows=1),
    "no_default": _dynamic(_POLICY % "allow_timeout_override: true", rows=1),
    "delays": _dynamic(
        _POLICY % "timeout_action: DELAY default_timeout_microseconds: 3000000 allow_timeout_override: true",
        rows=1,
    ),
    "direct": _IO % (2, _SEQUENCES % "direct { }"),
    "oldest": _IO % (2, _SEQUENCES % "oldest { max_candidate_sequences: 2 }"),
    "first": _dynamic(""),
    "second": _dynamic(""),
    "both": _ENSEMBLE,
    "kept": _dynamic("", more="response_cache { enable: true }"),
}


def write_models(repository: Path) -> None:
    """All of them, each with version 1."""
    for name, config in CONFIGS.items():
        _write(repository, name, config, None if "ensemble" in config else RECORDER)
    _write(repository, "repeat", _REPEAT, _REPEAT_MODEL)


def write_identity(repository: Path) -> None:
    """What the clients that break rules ask for (tests/integration/wire)."""
    _write(repository, "identity", _IDENTITY, _IDENTITY_MODEL)


def write_plain(repository: Path) -> None:
    """One that writes down what it is given, without dynamic batching."""
    _write(repository, "plain", CONFIGS["plain"], RECORDER)


def _write(repository: Path, name: str, config: str, model: str | None) -> None:
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    if model is not None:
        (version / "model.py").write_text(model)
