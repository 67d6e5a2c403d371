"""Retrieval as a Python model: a vector FP32 [1, 384] in, the nearest passages of the corpus out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Reads passages.json and vectors.npy, which lie beside this file, and the parameters of config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Builds the index; called once for each instance."""
        parameters = json.loads(args["model_config"])["parameters"]
        folder = Path(__file__).parent
        passages = json.loads((folder / "passages.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        if vectors.shape[0] != len(passages):
            raise pb_utils.TritonModelException(
                f"retrieval: passages.json has {len(passages)} passages and vectors.npy {vectors.shape[0]}"
            )
        self._ids = np.array([passage["id"] for passage in passages], np.object_)
        self._texts = np.array([passage["text"] for passage in passages], np.object_)
        self._count = min(int(parameters["num_documents"]["string_value"]), len(passages))
        # The inner product of vectors of length 1 is their cosine.
        kind = parameters["index"]["string_value"]
        self._index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)

    def execute(self, requests: list[Any]) -> list[Any]:
        """All requests that wait are one search."""
        queries = np.concatenate([_vector(request) for request in requests])
        similarities, places = self._index.search(queries, self._count)
        return [self._response(row, found) for row, found in zip(similarities, places, strict=True)]

    def _response(self, similarities: Any, places: Any) -> Any:
        found = places >= 0  # an index that is not exact may find fewer
        tensors = [
            pb_utils.Tensor("documents", self._texts[places[found]]),
            pb_utils.Tensor("document_ids", self._ids[places[found]]),
            pb_utils.Tensor("similarities", similarities[found]),
        ]
        return pb_utils.InferenceResponse(tensors)


def _vector(request: Any) -> Any:
    tensor: Any = pb_utils.get_input_tensor_by_name(request, "sentence_embedding")
    return tensor.as_numpy()
