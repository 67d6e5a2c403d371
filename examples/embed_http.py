"""Sentences to vectors over HTTP: tokenizer first, then minilm.

python embed_http.py [host:port]
"""

import sys

import numpy as np
import tritonclient.http as triton

PAIRS = [
    ("A man is playing a guitar on stage.", "Someone performs music with a guitar."),
    ("The stock market fell sharply today.", "Share prices dropped this afternoon."),
    ("A man is playing a guitar on stage.", "The stock market fell sharply today."),
]


def tensor(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    wrapped = triton.InferInput(name, list(array.shape), datatype)
    wrapped.set_data_from_numpy(array)
    return wrapped


def embed(client: triton.InferenceServerClient, sentences: list[str]) -> np.ndarray:
    text = np.array([[sentence.encode()] for sentence in sentences], np.object_)
    tokens = client.infer("tokenizer", [tensor("TEXT", text, "BYTES")])
    inputs = [tensor(name, tokens.as_numpy(name), "INT64") for name in ("input_ids", "attention_mask")]
    return client.infer("minilm", inputs).as_numpy("sentence_embedding")


client = triton.InferenceServerClient(sys.argv[1] if len(sys.argv) > 1 else "localhost:8000")
for first, second in PAIRS:
    a, b = embed(client, [first, second])
    print(f"{a @ b:5.2f}  {first}  {second}")
