"""OUTPUT0 is INPUT0, after a time: `sleep_ms` for a batch and `row_us` for each of its rows (`parameters`).

It runs on Triton and on naiad unchanged.
"""

from __future__ import annotations

import json
import time
from typing import Any

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """INPUT0 and OUTPUT0: float32 of shape (rows, n)."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read how long a batch takes."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.batch_s = float(parameters["sleep_ms"]["string_value"]) / 1e3
        self.row_s = float(parameters["row_us"]["string_value"]) / 1e6

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, in order."""
        arrays = [pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy() for request in requests]
        time.sleep(self.batch_s + self.row_s * sum(len(array) for array in arrays))
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("OUTPUT0", array)]) for array in arrays
        ]
