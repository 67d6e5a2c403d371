"""The tokenizer as a Python model: TEXT [n, 1] in, input_ids and attention_mask INT64 [n, tokens] out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Reads tokenizer.json, which lies beside this file, and the parameters of config.pbtxt."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the tokenizer; called once for each instance."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._multiple = int(parameters["pad_to_multiple_of"]["string_value"])
        self._tokenizer = Tokenizer.from_file(str(Path(__file__).with_name("tokenizer.json")))
        self._tokenizer.enable_truncation(int(parameters["max_tokens"]["string_value"]))
        self._tokenizer.no_padding()  # the file asks for 128 always; execute() pads to the longest

    def execute(self, requests: list[Any]) -> list[Any]:
        """Tokenizes the texts of all requests in one go; a text that is not UTF-8 fails its request only."""
        texts: list[list[str] | None] = [_texts(request) for request in requests]
        encoded = iter(self._tokenizer.encode_batch([text for group in texts for text in group or []]))
        return [self._response(None if group is None else [next(encoded) for _ in group]) for group in texts]

    def _response(self, rows: list[Encoding] | None) -> Any:
        if rows is None:
            error = pb_utils.TritonError("TEXT is not valid UTF-8", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        longest = max((len(row.ids) for row in rows), default=0)
        width = -(-longest // self._multiple) * self._multiple
        ids = np.zeros((len(rows), width), np.int64)  # [PAD] is 0
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row.ids)] = row.ids
            mask[index, : len(row.ids)] = 1
        tensors = [pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)]
        return pb_utils.InferenceResponse(output_tensors=tensors)


def _texts(request: Any) -> list[str] | None:
    """The request's texts, or None where one is not UTF-8."""
    tensor: Any = pb_utils.get_input_tensor_by_name(request, "TEXT")  # not optional: the server saw to it
    values = tensor.as_numpy().reshape(-1)
    try:
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
    except UnicodeDecodeError:
        return None
