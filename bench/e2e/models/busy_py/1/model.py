"""A neighbour: it keeps Python busy half of the time, whether it is asked or not."""

import threading
import time

import triton_python_backend_utils as pb_utils

_PERIOD_S = 0.01


class TritonPythonModel:
    """OUTPUT0 = INPUT0."""

    def initialize(self, args):
        """Start the thread that computes for half of each period."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def _compute(self):
        while not self._ended.wait(_PERIOD_S / 2):
            end = time.perf_counter() + _PERIOD_S / 2
            while time.perf_counter() < end:
                sum(range(100))

    def execute(self, requests):
        """Hand each input back."""
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy())]
            )
            for request in requests
        ]

    def finalize(self):
        """End the thread."""
        self._ended.set()
        self._thread.join()
