"""One request to a pooling model: text in, a vector out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from naiad.backends.python.inference_request import ReceivedRequest
from naiad.backends.python.inference_response import InferenceResponse
from naiad.backends.python.tensor import Tensor
from naiad.backends.vllm.contract import EMBED, POOLED_OUTPUT
from naiad.backends.vllm.framework import Framework
from naiad.backends.vllm.generation import num_input_tokens, read_flag, read_text
from naiad.backends.vllm.sampling import read_json_object
from naiad.errors import InvalidArgument


@dataclass(frozen=True)
class Pooling:
    """What a request wants."""

    text: str
    parameters: Any
    """``vllm.PoolingParams``."""
    returns_num_input_tokens: bool


def read_pooling(request: ReceivedRequest, task: str, framework: Framework) -> Pooling:
    """Raises InvalidArgument."""
    given = read_json_object(read_text(request, "pooling_parameters") or "{}", "pooling_parameters")
    known: dict[str, type] = {"use_activation": bool} | ({"dimensions": int} if task == EMBED else {})
    for name, value in given.items():
        if name not in known:
            raise InvalidArgument(
                f"pooling_parameters: there is no '{name}' for a model whose task is '{task}'; there are: "
                f"{', '.join(sorted(known))}"
            )
        if type(value) is not known[name]:
            raise InvalidArgument(
                f"pooling_parameters: {name} must be {known[name].__name__}, got {type(value).__name__}"
            )
    return Pooling(
        read_text(request, "text_input") or "",
        framework.pooling_type(task=task, **given),
        read_flag(request, "return_num_input_tokens", False),
    )


def pooled_response(wanted: Pooling, task: str, output: Any) -> InferenceResponse:
    """``output``: a ``vllm.PoolingRequestOutput``, whose data is one vector."""
    vector = output.outputs.data.float().cpu().numpy().reshape(-1)
    tensors = [Tensor(POOLED_OUTPUT[task], np.ascontiguousarray(vector, np.float32))]
    if wanted.returns_num_input_tokens:
        tensors.append(num_input_tokens(output))
    return InferenceResponse(tensors)
