"""The pipeline as one Python model that calls the others, streaming what the language model streams.

text_input [1] in, what the language model answers out, and with each response ``sources``: the ids of the
passages that the answer was made from, none where no passage was good enough.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np

import triton_python_backend_utils as pb_utils

PASSED_ON = (
    "stream",
    "sampling_parameters",
    "exclude_input_in_output",
    "return_finish_reason",
    "return_num_input_tokens",
    "return_num_output_tokens",
)
ANSWERED = ("text_output", "finish_reason", "num_input_tokens", "num_output_tokens")
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Reads the parameters of config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Called once for each instance."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._least_score = float(parameters["least_score"]["string_value"])
        self._language_model = parameters["language_model"]["string_value"]

    async def execute(self, requests: list[Any]) -> None:
        """Answers all requests side by side; each by its sender, so that others need not wait for it."""
        await asyncio.gather(*(self._answer(request, request.get_response_sender()) for request in requests))

    async def _answer(self, request: Any, sender: Any) -> None:
        try:
            question = pb_utils.get_input_tensor_by_name(request, "text_input")
            prompt, sources = await self._prompt(question)
            inputs = [pb_utils.Tensor("text_input", prompt.as_numpy())]
            for name in PASSED_ON:
                tensor = pb_utils.get_input_tensor_by_name(request, name)
                if tensor is not None:
                    inputs.append(tensor)
            await self._generate(inputs, sources, sender)
        except pb_utils.TritonModelException as error:
            sender.send(pb_utils.InferenceResponse([], error=pb_utils.TritonError(str(error))))
        sender.send(flags=FINAL)

    async def _prompt(self, question: Any) -> tuple[Any, Any]:
        """The prompt, and the ids of the passages in it."""
        (text,) = await _ask("rag_query", [question], ["TEXT"])
        tokens = await _ask("tokenizer", [text], ["input_ids", "attention_mask"])
        vector = await _ask("minilm", tokens, ["sentence_embedding"])
        found, ids = await _ask("retrieval", vector, ["documents", "document_ids"])
        query = pb_utils.Tensor("query", question.as_numpy())
        (scored,) = await _ask("reranker", [query, found], ["scores"])
        scores = scored.as_numpy()
        # The branch: only what is good enough; of nothing the prompt step makes a prompt without passages.
        good = scores >= self._least_score
        kept = [
            pb_utils.Tensor("documents", found.as_numpy()[good]),
            pb_utils.Tensor("scores", scores[good]),
        ]
        (prompt,) = await _ask("rag_prompt", [question, *kept], ["prompt"])
        order = np.argsort(-scores[good], kind="stable")
        return prompt, ids.as_numpy()[good][order]

    async def _generate(self, inputs: list[Any], sources: Any, sender: Any) -> None:
        request = pb_utils.InferenceRequest(
            model_name=self._language_model, inputs=inputs, requested_output_names=[]
        )
        responses: Any = await request.async_exec(decoupled=True)
        # Waiting for a response blocks, so that is done elsewhere.
        while (response := await asyncio.to_thread(next, responses, None)) is not None:
            if sender.is_cancelled():
                responses.cancel()
                return
            if response.has_error():
                raise pb_utils.TritonModelException(f"{self._language_model}: {response.error().message()}")
            outputs = [tensor for tensor in response.output_tensors() if tensor.name() in ANSWERED]
            if outputs:
                sender.send(pb_utils.InferenceResponse([*outputs, pb_utils.Tensor("sources", sources)]))


async def _ask(model: str, inputs: list[Any], outputs: list[str]) -> list[Any]:
    request = pb_utils.InferenceRequest(model_name=model, inputs=inputs, requested_output_names=outputs)
    response: Any = await request.async_exec()
    if response.has_error():
        raise pb_utils.TritonModelException(f"{model}: {response.error().message()}")
    return [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]
