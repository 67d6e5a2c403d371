"""Builds the models of the retrieval pipeline. The language model itself is not made here."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from naiad.errors import Internal
from naiad.fleet.fleet_model import BuiltModel
from naiad.fleet.minilm import Array, built_minilm, check_cosine, run_minilm
from naiad.fleet.minilm_graph import export_minilm
from naiad.fleet.rag.corpus import CORPUS, read_corpus
from naiad.fleet.source import MINILM
from naiad.fleet.tokenizer import load_tokenizer, tokenizer_json

ROOM = Path(__file__).parent
# The passage that is nearest to a question.
KNOWN_NEAREST = (
    ("Which port does gRPC use?", "naiad-ports"),
    ("What is the capital of France?", "paris"),
    ("Who discovered penicillin?", "penicillin"),
    ("What happens when a Python model crashes?", "naiad-isolation"),
)
# The cosine of the states of the word in both sentences, in FP32.
KNOWN_WORD = (
    "A man is playing a guitar on stage.",
    "Someone performs music with a guitar.",
    "guitar",
    0.91962,
)
OWN_LICENCE = "Apache-2.0 (naiad)"


def build_models(minilm: BuiltModel) -> list[BuiltModel]:
    """``embedding``, ``minilm_tokens``, ``retrieval``, ``reranker`` and the first and the prompt step.

    ``minilm`` makes the vectors of the corpus. Raises Internal when a model does not give known answers.
    """
    return [
        _embedding(),
        _minilm_tokens(),
        _retrieval(minilm.files["1/model.onnx"]),
        _reranker(),
        _python_model(
            "rag_query", "The first step of the pipelines: the question, checked, as a row of text."
        ),
        _python_model("rag_prompt", "The prompt of the language model: the question and the best passages."),
    ]


def build_pipelines() -> list[BuiltModel]:
    """``rag`` and ``rag_bls``, which need a model ``smollm2``."""
    steps = "rag_query, tokenizer, minilm, retrieval, reranker, rag_prompt, smollm2"
    ensemble = BuiltModel(
        name="rag",
        backend="ensemble",
        source=f"naiad; {steps}",
        licence=OWN_LICENCE,
        checked="by the server when it loads: names, types and shapes of all steps",
        summary=f"A question answered from the corpus, as an ensemble of {steps}. It streams what the "
        "language model streams, and takes what that takes.",
        files={"config.pbtxt": _config("rag")},
    )
    return [
        ensemble,
        _python_model(
            "rag_bls",
            "The same in Python (BLS), with a branch: where no passage is good enough, the question is "
            "answered without any. `sources` tells which passages the answer was made from.",
        ),
    ]


def _embedding() -> BuiltModel:
    return BuiltModel(
        name="embedding",
        backend="ensemble",
        source="naiad; tokenizer, minilm",
        licence=OWN_LICENCE,
        checked="by the server when it loads: names, types and shapes of both steps",
        summary="`TEXT` to `sentence_embedding`: `tokenizer`, then `minilm`. `/v1/embeddings` serves it.",
        files={"config.pbtxt": _config("embedding"), "tokenizer/tokenizer.json": tokenizer_json()},
    )


def _minilm_tokens() -> BuiltModel:
    model = export_minilm(MINILM.file("model"), tokens=True)
    first, second, word, expected = KNOWN_WORD
    states = [_state_of(model, text, word) for text in (first, second)]
    cosine = float(states[0] @ states[1])
    check_cosine(f"minilm_tokens: the cosine of {word!r} in {first!r} and {second!r}", cosine, expected)
    return built_minilm(
        "minilm_tokens",
        _config("minilm_tokens"),
        model,
        checked=f"the cosine of a known word in two sentences: {cosine:.3f}",
        summary="The token states of all-MiniLM-L6-v2, each of length 1: what `reranker` compares.",
    )


def _retrieval(model: bytes) -> BuiltModel:
    passages = read_corpus(CORPUS.read_text(encoding="utf-8"))
    texts = [passage.text for passage in passages] + [question for question, _ in KNOWN_NEAREST]
    made = run_minilm(model, texts, "sentence_embedding")
    vectors, questions = made[: len(passages)], made[len(passages) :]
    nearest = (questions @ vectors.T).argmax(axis=1)
    for (question, expected), place in zip(KNOWN_NEAREST, nearest, strict=True):
        if passages[place].id != expected:
            raise Internal(
                f"retrieval: nearest to {question!r} is '{passages[place].id}', expected '{expected}'"
            )
    stored = io.BytesIO()
    np.save(stored, vectors.astype(np.float32), allow_pickle=False)
    shown = [{"id": passage.id, "text": passage.text} for passage in passages]
    return _python_model(
        "retrieval",
        f"The nearest of {len(passages)} passages (`1/passages.json`), by an index of faiss over vectors.",
        checked=f"the nearest passages of {len(KNOWN_NEAREST)} known questions",
        more={
            "1/passages.json": json.dumps(shown, indent=1, ensure_ascii=False).encode(),
            "1/vectors.npy": stored.getvalue(),
        },
    )


def _reranker() -> BuiltModel:
    return _python_model(
        "reranker",
        "How well documents answer a query: MaxSim, late interaction over the token states of MiniLM, which "
        "was not trained for it. `/v1/rerank` and `/v1/score` serve it.",
        more={"tokenizer/tokenizer.json": tokenizer_json()},
    )


def _python_model(
    name: str, summary: str, *, checked: str = "by the tests of naiad", more: dict[str, bytes] | None = None
) -> BuiltModel:
    files = {"config.pbtxt": _config(name), "1/model.py": (ROOM / f"{name}_model.py").read_bytes()}
    return BuiltModel(
        name=name,
        backend="python",
        source="naiad",
        licence=OWN_LICENCE,
        checked=checked,
        summary=summary,
        files=files | (more or {}),
    )


def _config(name: str) -> bytes:
    return (ROOM / f"{name}.config.pbtxt").read_bytes()


def _state_of(model: bytes, text: str, word: str) -> Array:
    place = load_tokenizer(tokenizer_json()).encode(text).tokens.index(word)
    state: Array = run_minilm(model, [text], "token_embeddings")[0][place]
    return state
