"""OUTPUT0 is INPUT0: the Python model of the side-by-side bench. It runs on Triton and on naiad unchanged."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers each request with its own input. INPUT0 and OUTPUT0: float32 of shape (rows, n)."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, in order."""
        responses = []
        for request in requests:
            tensor = pb_utils.get_input_tensor_by_name(request, "INPUT0")
            output = pb_utils.Tensor("OUTPUT0", tensor.as_numpy())
            responses.append(pb_utils.InferenceResponse(output_tensors=[output]))
        return responses
