"""The same models without a network: the server lives in this process.

python embed_in_process.py MODEL_REPOSITORY
"""

import sys

import numpy as np

import naiad

server = naiad.Server(model_repository=sys.argv[1])
tokenizer, minilm = server.model("tokenizer"), server.model("minilm")

sentences = [
    "The cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Water boils at a hundred degrees.",
]
text = np.array([[sentence.encode()] for sentence in sentences], np.object_)
tokens = tokenizer.infer({"TEXT": text})
vectors = minilm.infer(tokens)["sentence_embedding"]

print(f"{vectors[0] @ vectors[1]:5.2f}  cat and kitten")
print(f"{vectors[0] @ vectors[2]:5.2f}  cat and water")
