"""Small models for the OpenAI API: a language model that does as it is told, an embedder, a reranker."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import write_model

LANGUAGE = """
backend: "python"
max_batch_size: 0
input [
  { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "sampling_parameters" data_type: TYPE_STRING dims: [ 1 ] optional: true },
  { name: "exclude_input_in_output" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "image" data_type: TYPE_STRING dims: [ -1 ] optional: true },
  { name: "return_finish_reason" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "return_logprobs" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "return_num_input_tokens" data_type: TYPE_BOOL dims: [ 1 ] optional: true },
  { name: "return_num_output_tokens" data_type: TYPE_BOOL dims: [ 1 ] optional: true }
]
output [
  { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] },
  { name: "finish_reason" data_type: TYPE_STRING dims: [ -1 ] },
  { name: "logprobs" data_type: TYPE_STRING dims: [ -1 ] },
  { name: "num_input_tokens" data_type: TYPE_UINT32 dims: [ 1 ] },
  { name: "num_output_tokens" data_type: TYPE_UINT32 dims: [ -1 ] }
]
model_transaction_policy { decoupled: true }
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "tokenizer" value { string_value: "words" } }
"""
# What stands behind the last "SAY " of the prompt is the answer, word by word; without it the answer is what
# was sent: {"prompt", "sampling", "stream", "images"}.
LANGUAGE_MODEL = """
import json
import os
import threading

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.directory = args["model_repository"]

    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.answer, args=(request, request.get_response_sender())).start()

    def answer(self, request, sender):
        def value(name, default):
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            return default if tensor is None else tensor.as_numpy()[0]

        prompt = value("text_input", b"").decode()
        sampling = json.loads(value("sampling_parameters", b"{}"))
        images = pb_utils.get_input_tensor_by_name(request, "image")
        n = sampling.get("n", 1)
        said = prompt.rpartition("SAY ")[2].split("<|end|>")[0]
        if "SAY " not in prompt:
            seen = {"prompt": prompt, "sampling": sampling, "stream": bool(value("stream", False)),
                    "images": [] if images is None else [image.decode() for image in images.as_numpy()]}
            said = json.dumps(seen)
            words = [said]
        else:
            words = [word if i == 0 else " " + word for i, word in enumerate(said.split(" "))]
        limit = sampling.get("max_tokens")
        reason = "stop"
        if limit is not None and limit < len(words) and "SAY " in prompt:
            words, reason = words[:limit], "length"
        flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        if words[0] == "FAIL":
            error = pb_utils.TritonError("the model is busy", pb_utils.TritonError.UNAVAILABLE)
            sender.send(pb_utils.InferenceResponse([], error=error), flags)
            return
        if words[0] == "ENDLESS":
            while not sender.is_cancelled():
                sender.send(self.response(["x"], n, None, value, prompt))
            with open(os.path.join(self.directory, "ended"), "a") as file:
                file.write("e")
            sender.send(flags=flags)
            return
        if not value("stream", False):
            words = ["".join(words)] if not value("return_logprobs", False) else words
        for i, word in enumerate(words):
            if word.strip() == "BREAK":
                error = pb_utils.TritonError("the model broke")
                sender.send(pb_utils.InferenceResponse([], error=error), flags)
                return
            last = i + 1 == len(words)
            if word.strip() == "ABORT":
                reason, last = "abort", True
            sender.send(self.response([word], n, reason if last else None, value, prompt))
        sender.send(flags=flags)

    def response(self, words, n, reason, value, prompt):
        word = words[0]
        steps = json.dumps([{"7": {"logprob": -0.5, "rank": 2, "decoded_token": word},
                             "8": {"logprob": -0.25, "rank": 1, "decoded_token": "other"}}])
        texts = [word if i == 0 else word.upper() for i in range(n)]
        tensors = [("text_output", texts), ("finish_reason", ["None" if reason is None else reason] * n)]
        if value("return_logprobs", False):
            tensors.append(("logprobs", [steps] * n))
        outputs = [pb_utils.Tensor(name, np.array(values, np.object_)) for name, values in tensors]
        outputs.append(pb_utils.Tensor("num_input_tokens", np.array([len(prompt.split())], np.uint32)))
        outputs.append(pb_utils.Tensor("num_output_tokens", np.array([1] * n, np.uint32)))
        return pb_utils.InferenceResponse(outputs)
"""

TEMPLATE = (
    "{% if tools %}<|tools|>{{ tools | tojson }}<|end|>{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<|call|>{{ call.function | tojson }}{% endfor %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

# The least of a language model: text to text.
PLAIN = """
backend: "python"
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "text_output" data_type: TYPE_STRING dims: [ 1 ] } ]
"""
PLAIN_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        text = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("text_output", text)])
"""

# [number of characters, number of spaces, 1], whatever they mean.
EMBEDDER = """
backend: "python"
max_batch_size: 2
input [ { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "vector" data_type: TYPE_FP32 dims: [ 3 ] } ]
"""
EMBEDDER_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        rows = np.array([[len(text), text.count(b" "), 1] for text in texts], np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("vector", rows)])
"""

# The share of the query's words that the document has.
RERANKER = """
backend: "python"
max_batch_size: 2
input [ { name: "query" data_type: TYPE_STRING dims: [ 1 ] },
        { name: "document" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
RERANKER_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        queries, documents = (pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
                              for name in ("query", "document"))
        scores = [len(set(query.split()) & set(document.split())) / len(query.split())
                  for query, document in zip(queries, documents)]
        scores = np.array(scores, np.float32).reshape(-1, 1)
        return pb_utils.InferenceResponse([pb_utils.Tensor("score", scores)])
"""

WORDS = ["[UNK]", "[BOS]", "hello", "world", "SAY", "FAIL"]


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of a few words, with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("[BOS] $A", None, [("[BOS]", 1)])
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"chat_template": TEMPLATE, "bos_token": "[BOS]", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_openai_models(repository: Path) -> None:
    """All of them: ``language``, ``plain``, ``vectors``, ``scores``."""
    write_model(repository, "language", LANGUAGE, LANGUAGE_MODEL)
    write_tokenizer(repository / "language" / "words")
    write_model(repository, "plain", PLAIN, PLAIN_MODEL)
    write_model(repository, "vectors", EMBEDDER, EMBEDDER_MODEL)
    write_model(repository, "scores", RERANKER, RERANKER_MODEL)
