"""Which model serves what: told by the tensors that it declares, or by its parameter ``openai_task``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from naiad.config import ModelConfig
from naiad.config.types import TensorConfig

Task = Literal["generate", "embed", "rerank", "none"]
TASKS: tuple[Task, ...] = ("generate", "embed", "rerank", "none")
PARAMETER = "openai_task"

_TEXT_IN, _TEXT_OUT = "text_input", "text_output"
_QUERIES = ("query", "text_1")
_DOCUMENTS = ("document", "documents", "passage", "text_2")
_VECTORS = ("embedding", "embeddings", "sentence_embedding")
_SCORES = ("score", "scores", "relevance_score")


@dataclass(frozen=True)
class Generator:
    """``text_input`` to ``text_output``, one response or many."""


@dataclass(frozen=True)
class Embedder:
    """A text a row to a vector a row. ``batched``: the model itself has a batch dimension."""

    input: str
    output: str
    batched: bool
    max_rows: int
    """Of one request; 0: any number."""
    width: int
    """Of ``input``'s rows: 1, or 0 where the rows are the only dimension."""


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
    rows = _rows(config, required[0])
    if output is None or rows is None or len(output.dims) != (1 if rows[0] else 2):
        return None
    # A score for each text is no vector.
    if output.dims[-1] == 1 or output.name.lower() in _SCORES:
        return None
    batched, width = rows
    return Embedder(required[0].name, output.name, batched, config.max_batch_size, width)


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


def _rows(config: ModelConfig, text: TensorConfig) -> tuple[bool, int] | None:
    """Whether the model batches, and the width of a row of texts; None: it takes no texts by the row."""
    if config.max_batch_size > 0:
        return (True, 1) if text.dims in ((1,), (-1,)) else None
    if text.dims == (-1,):
        return False, 0
    return (False, 1) if text.dims == (-1, 1) else None
