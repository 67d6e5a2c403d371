"""The reranker as a Python model: query [1] and documents [n] in, scores FP32 [n] out.

It is MaxSim, the late interaction of ColBERT (Khattab and Zaharia 2020, arXiv:2004.12832), over the token
states of all-MiniLM-L6-v2, which was not trained for that: the score of a document is the mean, over the
words of the query, of the cosine with the document's most similar one. No cross-encoder with free weights
comes in a package; this needs no weights that the fleet does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import triton_python_backend_utils as pb_utils

CLS, SEP = 101, 102
MAX_ROWS = 32  # of tokenizer and minilm_tokens


class TritonPythonModel:
    """Asks the models ``tokenizer`` and ``minilm_tokens`` of the same server."""

    async def execute(self, requests: list[Any]) -> list[Any]:
        """The scores of each request's documents; a failure fails its request only."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Any) -> Any:
        query = _texts(request, "query")
        documents = _texts(request, "documents")
        scores = np.zeros(len(documents), np.float32)
        try:
            if len(documents):
                (wanted,), _ = await _states(query)
                for start in range(0, len(documents), MAX_ROWS):
                    part = slice(start, start + MAX_ROWS)
                    scores[part] = _max_sim(wanted, *await _states(documents[part]))
        except pb_utils.TritonModelException as error:
            return pb_utils.InferenceResponse([], error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor("scores", scores)])


def _texts(request: Any, name: str) -> Any:
    tensor: Any = pb_utils.get_input_tensor_by_name(request, name)
    return tensor.as_numpy().reshape(-1)


async def _states(texts: Any) -> tuple[Any, Any]:
    """The states of the tokens, [texts, tokens, 384], and which are words: not padding, [CLS] or [SEP]."""
    column = pb_utils.Tensor("TEXT", texts.reshape(-1, 1))
    tokens = await _ask("tokenizer", [column], ["input_ids", "attention_mask"])
    (states,) = await _ask("minilm_tokens", tokens, ["token_embeddings"])
    ids, mask = (tensor.as_numpy() for tensor in tokens)
    are_words = (mask == 1) & (ids != CLS) & (ids != SEP)
    # A query of nothing but special tokens is like nothing.
    return states.as_numpy() * are_words[..., np.newaxis], are_words


async def _ask(model: str, inputs: list[Any], outputs: list[str]) -> list[Any]:
    request = pb_utils.InferenceRequest(model_name=model, inputs=inputs, requested_output_names=outputs)
    response: Any = await request.async_exec()
    if response.has_error():
        raise pb_utils.TritonModelException(f"{model}: {response.error().message()}")
    return [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]


def _max_sim(query: Any, documents: Any, are_words: Any) -> Any:
    words = query[np.abs(query).sum(axis=1) > 0]
    if not len(words):
        return np.zeros(len(documents), np.float32)
    cosines = np.einsum("qh,nth->nqt", words, documents)
    nearest = np.where(are_words[:, np.newaxis, :], cosines, -1.0).max(axis=2)
    return nearest.mean(axis=1)
