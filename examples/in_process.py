"""Runs a model inside this process: no port, no wire format, the server's queue and batcher between callers.

    python examples/in_process.py

A request costs some microseconds on top of the model: right for a service that must answer at once. Many
threads, or many tasks of an event loop, may ask at the same time; what waits together runs as one batch.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np

import naiad

CONFIG = """
backend: "python"
max_batch_size: 64
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
dynamic_batching { }
"""

MODEL = '''
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """y = 2 x"""

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", 2 * x)]))
        return responses
'''


def write_repository(root: Path) -> None:
    """A model repository of one model, ``double``."""
    version = root / "double" / "1"
    version.mkdir(parents=True)
    (root / "double" / "config.pbtxt").write_text(CONFIG)
    (version / "model.py").write_text(MODEL)


async def many(model: naiad.Model) -> float:
    """A hundred requests at once, from one event loop."""
    results = await asyncio.gather(
        *(model.ainfer({"x": np.full((1, 3), i, dtype=np.float32)}) for i in range(100))
    )
    return float(sum(result["y"].sum() for result in results))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        write_repository(Path(directory))
        with naiad.Server(model_repository=directory) as server:
            model = server.model("double")
            print("inputs:", model.metadata["inputs"])

            result = model.infer({"x": np.array([[1, 2, 3]], dtype=np.float32)})
            print("y =", result["y"])

            print("sum over 100 requests:", asyncio.run(many(model)))
            counted = model.statistics()
            print("requests:", counted["inference_count"], "batches:", counted["execution_count"])


if __name__ == "__main__":
    main()
