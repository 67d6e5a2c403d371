"""A search by meaning over gRPC: the texts nearest to a question come first.

python search_grpc.py [host:port]
"""

import sys

import numpy as np
import tritonclient.grpc as triton

QUESTION = "How do I get my money back?"
TEXTS = [
    "Our offices are open from nine to five.",
    "A refund is paid within ten days of the return.",
    "Parcels are sent from Rotterdam.",
    "Customers may send a product back for free.",
]


def tensor(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    wrapped = triton.InferInput(name, list(array.shape), datatype)
    wrapped.set_data_from_numpy(array)
    return wrapped


with triton.InferenceServerClient(sys.argv[1] if len(sys.argv) > 1 else "localhost:8001") as client:
    text = np.array([[sentence.encode()] for sentence in [QUESTION, *TEXTS]], np.object_)
    tokens = client.infer("tokenizer", [tensor("TEXT", text, "BYTES")])
    inputs = [tensor(name, tokens.as_numpy(name), "INT64") for name in ("input_ids", "attention_mask")]
    question, *vectors = client.infer("minilm", inputs).as_numpy("sentence_embedding")

scores = [float(question @ vector) for vector in vectors]
for score, sentence in sorted(zip(scores, TEXTS, strict=True), reverse=True):
    print(f"{score:5.2f}  {sentence}")
