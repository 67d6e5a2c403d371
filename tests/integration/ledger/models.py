"""The models that the ledger's clients ask, and what each must answer."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..conftest import IDENTITY, write_model

_SIMPLE = Path(__file__).parents[2] / "cpp" / "backends" / "models" / "simple.onnx"

SUMS = """
backend: "onnxruntime"
max_batch_size: 8
input [
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
output [
  { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
dynamic_batching { }
"""

WORKER = """
backend: "python"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
dynamic_batching { }
instance_group [ { kind: KIND_CPU count: 2 } ]
"""

# One more than its input; an error of that request alone where the first value is below zero.
WORKER_MODEL = """
import time
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        arrays = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        if any(array.flat[0] % 16 == 0 for array in arrays):
            time.sleep(0.001)
        return [self.answer(array) for array in arrays]

    def answer(self, array):
        if array.flat[0] < 0:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("it is below zero"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", array + 1)])
"""

REPEAT = """
backend: "python"
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
"""

# A response for each value.
REPEAT_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for value in pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy():
                if sender.is_cancelled():
                    break
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", value.reshape(1))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def write_ledger_models(repository: Path) -> None:
    """``identity`` and ``sums`` are native, ``worker`` has two processes, ``repeat`` is decoupled."""
    write_model(repository, "identity", IDENTITY)
    write_model(repository, "sums", SUMS)
    shutil.copyfile(_SIMPLE, repository / "sums" / "1" / "model.onnx")
    write_model(repository, "worker", WORKER, WORKER_MODEL)
    write_model(repository, "repeat", REPEAT, REPEAT_MODEL)


def values_of(number: int) -> list[int]:
    """The input of a request: short as a rule, now and then longer than a packet."""
    count = 4000 if number % 97 == 0 else 1 + number % 5
    first = number % 1_000_000
    return [first, *((first * 7 + k) % 1_000_000 for k in range(1, count))]
