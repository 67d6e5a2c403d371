"""Calls a model so many times, one call after the other. It runs on Triton and on naiad unchanged."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """US: the time of one call of MODEL with 16 floats, in microseconds, the median of CALLS."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        model, calls = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0] for name in ("MODEL", "CALLS")
        )
        floats = np.arange(16, dtype=np.float32).reshape(1, 16)
        spent = []
        for _ in range(int(calls)):
            start = time.perf_counter()
            response = pb_utils.InferenceRequest(
                model_name=model.decode(),
                inputs=[pb_utils.Tensor("INPUT0", floats)],
                requested_output_names=["OUTPUT0"],
            ).exec()
            if response.has_error():
                raise pb_utils.TritonModelException(response.error().message())
            spent.append(time.perf_counter() - start)
        us = np.array([np.median(spent) * 1e6], np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("US", us)])
