"""Which model serves what: told by the tensors that it declares, or by its parameter ``openai_task``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from naiad.config import ModelConfig
from naiad.config.types import TensorConfig

Form = Literal["column", "row", "single"]
"""Of texts: BYTES of shape [n, 1], [n], or one text a request."""
Task = Literal["generate", "embed", "rerank", "none"]
TASKS: tuple[Task, ...] = ("generate", "embed", "rerank", "none")
PARAMETER = "openai_task"

_TEXT_IN, _TEXT_OUT = "text_input", "text_output"
_QUERIES = ("query", "text_1")
_DOCUMENTS = ("document", "documents", "passage", "text_2")
_VECTORS = ("embedding", "embeddings", "sentence_embedding")
_CLASSES = ("probabilities", "logits")
_SCORES = ("score", "scores", "relevance_score")


@dataclass(frozen=True)
class Generator:
    """``text_input`` to ``text_output``, one response or many."""


@dataclass(frozen=True)
class Embedder:
    """Texts to vectors: a text a row to a vector a row, or one text to one vector."""

    input: str
    output: str
    form: Form
    max_rows: int
    """Of one request; 0: any number."""


@dataclass(frozen=True)
class Reranker:
    """A query and documents, a row each, to a score a row."""

    query: str
    document: str
    output: str
    batched: bool
    max_rows: int
    repeats_query: bool
    """Whether the query stands in every row; otherwise it is one string for all documents."""


Role = Generator | Embedder | Reranker


def find_role(config: ModelConfig) -> Role | None:
    """What the model does for this API; None: nothing that it knows."""
    task = config.parameters.get(PARAMETER)
    if task == "none":
        return None
    found = {"generate": _generator, "rerank": _reranker, "embed": _embedder}
    for name, find in found.items():
        role = find(config) if task in (None, name) else None
        if role is not None:
            return role
    return None


def _generator(config: ModelConfig) -> Role | None:
    text, answer = config.input(_TEXT_IN), config.output(_TEXT_OUT)
    if text is None or answer is None or {text.datatype, answer.datatype} != {"BYTES"}:
        return None
    known = {"stream", "sampling_parameters", "exclude_input_in_output", "image"}
    others = [tensor for tensor in _required(config) if tensor.name not in {_TEXT_IN, *known}]
    return Generator() if not others else None


def _embedder(config: ModelConfig) -> Role | None:
    required = _required(config)
    if len(required) != 1 or required[0].datatype != "BYTES":
        return None
    output = _pick(config.outputs, "FP32", _VECTORS)
    form = _form(config, required[0])
    if output is None or form is None or len(config.wire_shape(output)) != (1 if form == "single" else 2):
        return None
    # A score for each text is no vector.
    if output.dims[-1] == 1 or output.name.lower() in (*_SCORES, *_CLASSES):
        return None
    return Embedder(required[0].name, output.name, form, 1 if form == "single" else config.max_batch_size)


def _reranker(config: ModelConfig) -> Role | None:
    required = _required(config)
    query = next((tensor for tensor in required if tensor.name.lower() in _QUERIES), None)
    document = next((tensor for tensor in required if tensor.name.lower() in _DOCUMENTS), None)
    output = _pick(config.outputs, "FP32", _SCORES)
    if query is None or document is None or output is None or len(required) != 2:
        return None
    if {query.datatype, document.datatype} != {"BYTES"}:
        return None
    batched = config.max_batch_size > 0
    if batched:
        if not query.dims == document.dims == output.dims == (1,):
            return None
    elif document.dims != (-1,) or output.dims != (-1,) or len(query.dims) != 1:
        return None
    return Reranker(
        query.name,
        document.name,
        output.name,
        batched,
        config.max_batch_size,
        repeats_query=batched,
    )


def _required(config: ModelConfig) -> list[TensorConfig]:
    return [tensor for tensor in config.inputs if not tensor.optional]


def _pick(tensors: tuple[TensorConfig, ...], datatype: str, names: tuple[str, ...]) -> TensorConfig | None:
    """The tensor with one of these names, or the only one of that type."""
    fitting = [tensor for tensor in tensors if tensor.datatype == datatype]
    named = [tensor for tensor in fitting if tensor.name.lower() in names]
    if len(named) == 1:
        return named[0]
    return fitting[0] if len(fitting) == 1 else None


def _form(config: ModelConfig, text: TensorConfig) -> Form | None:
    """How the model takes texts; None: not as any of them."""
    shape = config.wire_shape(text)
    if shape == (1,):
        return "single"
    if shape == (-1,):
        return "row"
    return "column" if len(shape) == 2 and shape[1] in (1, -1) else None
