"""The question of a request, checked, as a batch of one text for ``tokenizer``."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """text_input [1] in, TEXT [1, 1] out."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """A question of nothing but white space fails its request."""
        return [_answer(request) for request in requests]


def _answer(request: Any) -> Any:
    tensor: Any = pb_utils.get_input_tensor_by_name(request, "text_input")
    text = tensor.as_numpy()
    if not text[0].strip():
        error = pb_utils.TritonError("text_input is empty", pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse([], error=error)
    return pb_utils.InferenceResponse([pb_utils.Tensor("TEXT", text.reshape(1, 1))])
