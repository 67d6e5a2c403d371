"""The sentence-embedding model, run by onnxruntime as it lies in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from naiad.errors import Unsupported
from naiad.fleet.minilm_graph import export_minilm
from naiad.fleet.source import MINILM

SENTENCES = [
    "A man is playing a guitar on stage.",
    "Someone performs music with a guitar.",
    "The stock market fell sharply today.",
    "Share prices dropped this afternoon.",
    "Yes.",
]


@pytest.fixture(scope="module")
def session(fleet) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(fleet[0] / "minilm/1/model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def tokenizer(fleet) -> Tokenizer:
    loaded = Tokenizer.from_file(str(fleet[0] / "tokenizer/1/tokenizer.json"))
    loaded.enable_truncation(256)
    loaded.enable_padding()
    return loaded


def embed(session, tokenizer, texts: list[str]) -> np.ndarray:
    rows = tokenizer.encode_batch(texts)
    ids = np.array([row.ids for row in rows], np.int64)
    mask = np.array([row.attention_mask for row in rows], np.int64)
    (vectors,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    return vectors


def test_inputs_and_outputs_are_those_of_the_configuration(session):
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
    assert inputs == {
        "input_ids": ("tensor(int64)", ["batch", "sequence"]),
        "attention_mask": ("tensor(int64)", ["batch", "sequence"]),
    }
    assert outputs == {"sentence_embedding": ("tensor(float)", ["batch", 384])}


def test_sentences_of_one_meaning_are_nearest_to_each_other(session, tokenizer):
    vectors = embed(session, tokenizer, SENTENCES)
    likeness = vectors @ vectors.T - np.eye(len(SENTENCES))
    assert likeness[:4].argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_vectors_have_length_one(session, tokenizer):
    np.testing.assert_allclose(np.linalg.norm(embed(session, tokenizer, SENTENCES), axis=1), 1, atol=1e-6)


def test_padding_and_neighbours_do_not_change_a_vector(session, tokenizer):
    together = embed(session, tokenizer, SENTENCES)
    for row, text in enumerate(SENTENCES):
        np.testing.assert_allclose(embed(session, tokenizer, [text])[0], together[row], atol=1e-6)


def test_the_longest_sequence_runs_and_a_longer_one_is_refused(session):
    ids = np.full((1, 513), 2000, np.int64)
    (vectors,) = session.run(None, {"input_ids": ids[:, :512], "attention_mask": np.ones_like(ids[:, :512])})
    assert np.isfinite(vectors).all()
    with pytest.raises(Exception, match="512 by 513"):
        session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})


@pytest.mark.filterwarnings("ignore")  # of torch and transformers, about their own future
def test_vectors_are_those_of_sentence_transformers(session, tokenizer):
    pytest.importorskip("sentence_transformers", reason="torch and sentence-transformers give the reference")
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(MINILM.file("model")), device="cpu")
    texts = [*SENTENCES, "word " * 400]  # the last is cut at 256 tokens by both
    np.testing.assert_allclose(embed(session, tokenizer, texts), reference.encode(texts), atol=1e-5)


def test_another_architecture_is_refused(tmp_path: Path):
    config = json.loads(MINILM.file("model/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    with pytest.raises(Unsupported, match="hidden_act = 'relu'; expected 'gelu'"):
        export_minilm(tmp_path)
