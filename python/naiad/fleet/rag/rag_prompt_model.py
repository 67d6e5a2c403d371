"""The prompt step as a Python model: question, documents and their scores in, a prompt for SmolLM2 out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import triton_python_backend_utils as pb_utils

WITH = "Answer the question in one sentence, from these facts:\n\n{facts}"
WITHOUT = "You are a helpful assistant. Answer the question in one sentence."
# The form of conversations that SmolLM2 was trained with.
CHAT = (
    "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
)
MARKS = ("<|im_start|>", "<|im_end|>")


class TritonPythonModel:
    """Reads the parameters of config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Called once for each instance."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._count = int(parameters["num_documents"]["string_value"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """A text that is not UTF-8 fails its request only."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        scores = _values(request, "scores")
        try:
            (question,) = _texts(request, "text_input")
            documents = _texts(request, "documents")
        except UnicodeDecodeError:
            error = pb_utils.TritonError("text_input is not valid UTF-8", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse([], error=error)
        best = np.argsort(-scores, kind="stable")[: self._count]
        facts = "\n".join(documents[place] for place in best)
        system = WITH.format(facts=facts) if facts else WITHOUT
        prompt = np.array([CHAT.format(system=system, question=question)], np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("prompt", prompt)])


def _values(request: Any, name: str) -> Any:
    tensor: Any = pb_utils.get_input_tensor_by_name(request, name)
    return tensor.as_numpy().reshape(-1)


def _texts(request: Any, name: str) -> list[str]:
    """Without the marks of a conversation: who asks can't speak for others in it."""
    texts = [value.decode("utf-8") for value in _values(request, name)]
    for mark in MARKS:
        texts = [text.replace(mark, "") for text in texts]
    return texts
