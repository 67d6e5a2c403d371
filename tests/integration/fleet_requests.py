"""One question for each model of the full fleet, over the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from naiad.fleet import ocr_rec, vad
from naiad.fleet.tokenizer import KNOWN_IDS, KNOWN_TEXT

from .conftest import ServerProcess

QUESTION = "What is the capital of France?"

Tensors = dict[str, Any]


def infer(
    server: ServerProcess, model: str, inputs: Tensors, parameters: dict[str, Any] | None = None
) -> Tensors:
    """Outputs as lists; a list of inputs that holds text is BYTES."""
    given = []
    for name, value in inputs.items():
        array = np.asarray(value)
        kind = {"U": "BYTES", "O": "BYTES", "i": "INT64", "f": "FP32"}[array.dtype.kind]
        data = array.reshape(-1).tolist()
        given.append({"name": name, "datatype": kind, "shape": list(array.shape), "data": data})
    body = {"inputs": given} | ({} if parameters is None else {"parameters": parameters})
    status, answer = server.json("POST", f"/v2/models/{model}/infer", body)
    assert status == 200, (model, answer)
    assert isinstance(answer, dict)
    return {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answer["outputs"]}


def ask_every_model(server: ServerProcess, directory: Path) -> dict[str, str]:
    """Asks each of them and checks what is known of its answer. Returns what the language models said."""
    tokens = infer(server, "tokenizer", {"TEXT": [[KNOWN_TEXT]]})
    assert tokens["input_ids"][0, : len(KNOWN_IDS)].tolist() == KNOWN_IDS
    vector = infer(server, "minilm", tokens)["sentence_embedding"]
    assert (
        np.abs(infer(server, "embedding", {"TEXT": [[KNOWN_TEXT]]})["sentence_embedding"] - vector).max()
        < 1e-5
    )
    states = infer(server, "minilm_tokens", tokens)["token_embeddings"]
    assert np.linalg.norm(states[0, : len(KNOWN_IDS)], axis=1).round(3).tolist() == [1.0] * len(KNOWN_IDS)

    ids = infer(server, "ocr_rec", {"image": ocr_rec.picture_tensor(ocr_rec.KNOWN_PICTURE)})["character_ids"]
    characters = (directory / "ocr_rec" / "charset.txt").read_text(encoding="utf-8").split("\n")
    assert ocr_rec.read(ids[0], characters) == ocr_rec.KNOWN_TEXT

    heard = [_hear(server, number, piece) for number, piece in enumerate(vad.known_sound())]
    assert np.abs(np.array(heard) - vad.KNOWN_SPEECH).max() < vad.TOLERANCE

    row = infer(server, "rag_query", {"text_input": [QUESTION]})["TEXT"]
    assert row.tolist() == [[QUESTION]]
    asked = infer(server, "embedding", {"TEXT": row})["sentence_embedding"]
    found = infer(server, "retrieval", {"sentence_embedding": asked.astype(np.float32)})
    assert found["document_ids"][0] == "paris"
    documents = found["documents"].tolist()
    scores = infer(server, "reranker", {"query": [QUESTION], "documents": documents})["scores"]
    assert int(scores.argmax()) == 0
    steps = {"text_input": [QUESTION], "documents": documents, "scores": scores.astype(np.float32)}
    (prompt,) = infer(server, "rag_prompt", steps)["prompt"].tolist()
    assert documents[0] in prompt
    asks = {"smollm2": prompt, "rag": QUESTION, "rag_bls": QUESTION}
    return {model: _generated(server, model, text) for model, text in asks.items()}


def _hear(server: ServerProcess, number: int, piece: Any) -> float:
    last = number + 1 == len(vad.KNOWN_SPEECH)
    sequence = {"sequence_id": 7, "sequence_start": number == 0, "sequence_end": last}
    return float(infer(server, "vad", {"audio": piece[None]}, sequence)["speech"][0, 0])


def _generated(server: ServerProcess, model: str, text: str) -> str:
    sampling = json.dumps({"temperature": 0, "max_tokens": 24})
    body = {"text_input": text, "sampling_parameters": sampling, "exclude_input_in_output": True}
    status, answer = server.json("POST", f"/v2/models/{model}/generate", body)
    assert status == 200, (model, answer)
    assert isinstance(answer, dict)
    return str(answer["text_output"])
